"""Each family of backbones in the steps: trained as the classifiers of an arm, then the extractor of a selection."""

import pytest
import torch
import torchvision
from textures import write_stripes
from untrained_generator import save_generator

from histoforge.classifiers.arms import load_classifier, load_judge
from histoforge.core.errors import SettingsError
from histoforge.patches import PatchSet
from histoforge.steps import select_samples, train_classifier
from histoforge.steps.select_samples_config import SelectSamplesConfig
from histoforge.steps.train_classifier_config import TrainClassifierConfig

SIZE = 32
QUICK = {
    "width": 0.125,
    "epochs": 1,
    "seeds": 1,
    "batch_size": 8,
    "max_steps": 2,
    "device": "cpu",
    "tile_size": 16,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_stripes(folder / "patches", (8, 6), (4, 4), (4, 4), size=SIZE)
    save_generator(folder / "generator", size=SIZE)
    return {name: folder / name for name in ("patches", "generator")}


@pytest.mark.parametrize(
    "backbone",
    [
        "resnet10",
        "resnet50_cbam",
        "densenet121",
        "convnext_tiny",
        "vit_b_16",
        "multiscale_vit_2",
        "admil",
        "timm:test_vit",
    ],
)
@pytest.mark.parametrize("layers", ["stages", "blocks"])
def test_a_backbone_is_trained_and_selects(inputs, tmp_path, backbone, layers):
    width = 1.0 if backbone.startswith("timm:") else 0.125
    config = TrainClassifierConfig.make({**QUICK, "backbone": backbone, "width": width})
    train_classifier.run(config, patches=inputs["patches"], model=tmp_path / "arm")
    assert load_classifier(tmp_path / "arm").info.method == backbone
    selecting = SelectSamplesConfig.make({"device": "cpu", "passes": 2, "layers": layers, "batch_size": 8})
    outputs = {"selected": tmp_path / "selected", "pool": tmp_path / "pool"}
    summary = select_samples.run(selecting, **inputs, extractor=tmp_path / "arm", **outputs)
    assert summary.kept == {"coarse": 4, "fine": 3}
    assert summary.extractor.startswith(f"{backbone} (baseline, seed 0)")
    scores = PatchSet.open(tmp_path / "pool").index
    assert scores["distance"].std() > 0
    assert (scores["entropy_of_mean"] > scores["entropy"]).any()  # the passes differ


def test_a_judge_of_another_family_is_trained_beside_the_seeds(inputs, tmp_path):
    config = TrainClassifierConfig.make({**QUICK, "backbone": "resnet10", "judge_backbone": "vit_b_16"})
    train_classifier.run(config, patches=inputs["patches"], model=tmp_path / "arm")
    assert load_judge(tmp_path / "arm").info.method == "vit_b_16"
    assert load_classifier(tmp_path / "arm").info.config["stem"] == "small"
    assert load_judge(tmp_path / "arm").info.config["stem"] == "imagenet"


def test_training_starts_from_given_weights_of_another_patch_size(inputs, tmp_path):
    torch.manual_seed(1)
    published = torchvision.models.VisionTransformer(48, 16, 12, 2, 128, 512).state_dict()
    torch.save(published, tmp_path / "vit.pth")
    config = TrainClassifierConfig.make(
        {**QUICK, "backbone": "vit_b_16", "weights": str(tmp_path / "vit.pth"), "trainable_layers": 3}
    )
    train_classifier.run(config, patches=inputs["patches"], model=tmp_path / "arm")
    classifier = load_classifier(tmp_path / "arm")
    assert torch.equal(classifier.backbone.conv_proj.weight, published["conv_proj.weight"])
    assert classifier.backbone.encoder.pos_embedding.shape[1] == 5
    assert classifier.info.config["imagenet_normalisation"]


def test_patches_that_do_not_fit_are_refused_before_anything_is_written(tmp_path):
    write_stripes(tmp_path / "patches", size=24)
    config = TrainClassifierConfig.make({**QUICK, "backbone": "vit_b_16"})
    with pytest.raises(SettingsError, match="at least 16 px and multiples of 16 px, and they have 24x24 px"):
        train_classifier.run(config, patches=tmp_path / "patches", model=tmp_path / "arm")
    assert [path.name for path in tmp_path.iterdir()] == ["patches"]


def test_an_image_smaller_than_a_tile_is_refused_before_anything_is_written(inputs, tmp_path):
    config = TrainClassifierConfig.make({**QUICK, "backbone": "admil", "tile_size": 64})
    with pytest.raises(SettingsError, match="tiles of 64 px, and they have 32x32 px: set tile_size to at most 32"):
        train_classifier.run(config, patches=inputs["patches"], model=tmp_path / "arm")
    assert not list(tmp_path.iterdir())


def test_the_settings_of_a_backbone_are_recorded_for_it_alone(inputs, tmp_path):
    for backbone, input_size, recorded in (("admil", 48, 16), ("conv4", 0, None)):
        config = TrainClassifierConfig.make({**QUICK, "backbone": backbone, "input_size": input_size})
        train_classifier.run(config, patches=inputs["patches"], model=tmp_path / backbone)
        info = load_classifier(tmp_path / backbone).info
        assert (info.config.get("tile_size"), info.config.get("input_size", 0)) == (recorded, input_size)
        assert info.patch_size == (SIZE, SIZE)
