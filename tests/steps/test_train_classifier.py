"""The step `train_classifier`: settings in, an arm directory out, a summary back."""

import pytest
import torch
from textures import write_stripes
from torchvision.models import resnet18

from histoforge.classifiers.arms import load_classifier, read_arm
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.steps.train_classifier import run
from histoforge.steps.train_classifier_config import TrainClassifierConfig

QUICK = {"backbone": "resnet10", "width": 0.125, "stem": "imagenet", "epochs": 2, "batch_size": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    path = tmp_path_factory.mktemp("patches") / "patches"
    write_stripes(path, (12, 8), (4, 4), (4, 4))
    return path


def test_the_step_trains_its_seeds_and_summarises_them(patches, tmp_path):
    write_stripes(tmp_path / "synthetic", (6, 4), (), ())
    config = TrainClassifierConfig.make({**QUICK, "arm": "selective", "seed": 4, "seeds": 2})
    summary = run(config, patches=patches, synthetic=tmp_path / "synthetic", model=tmp_path / "arm")
    runs = read_arm(tmp_path / "arm")["runs"]
    assert summary.seeds == [run["seed"] for run in runs] == [4, 5]
    assert (summary.train, summary.synthetic, summary.val) == (20, 10, 8)
    assert summary.val_loss == pytest.approx((runs[0]["val_loss"] + runs[1]["val_loss"]) / 2)
    assert load_classifier(tmp_path / "arm").info.digest == runs[0]["digest"]


def test_the_same_settings_give_the_same_models_whatever_the_arm_is_called(patches, tmp_path):
    for name in ("first", "second"):
        config = TrainClassifierConfig.make({**QUICK, "arm": name, "seeds": 1, "augmentation": "traditional"})
        run(config, patches=patches, model=tmp_path / name)
    first, second = ((tmp_path / name / "seed-0" / "model.safetensors").read_bytes() for name in ("first", "second"))
    assert first == second


def test_training_starts_from_given_weights(patches, tmp_path):
    torch.manual_seed(1)
    weights = resnet18().state_dict()
    torch.save(weights, tmp_path / "w.pth")
    settings = {**QUICK, "backbone": "resnet18", "width": 1.0, "epochs": 1, "seeds": 1, "learning_rate": 1e-9}
    config = TrainClassifierConfig.make({**settings, "stem": "auto", "weights": str(tmp_path / "w.pth")})
    run(config, patches=patches, model=tmp_path / "arm")
    classifier = load_classifier(tmp_path / "arm")
    assert classifier.info.config["imagenet_normalisation"]
    torch.testing.assert_close(classifier.backbone.conv1.weight, weights["conv1.weight"], atol=1e-6, rtol=1e-4)


def test_an_unknown_backbone_is_a_settings_error(patches, tmp_path):
    config = TrainClassifierConfig.make({**QUICK, "backbone": "resnet19"})
    with pytest.raises(SettingsError, match="no backbone 'resnet19'"):
        run(config, patches=patches, model=tmp_path / "arm")


def test_a_patch_set_without_training_patches_is_refused(tmp_path):
    write_stripes(tmp_path / "p", (), (4, 4), (4, 4))
    with pytest.raises(PatchSetError, match="no patches in its 'train' split"):
        run(TrainClassifierConfig.make(QUICK), patches=tmp_path / "p", model=tmp_path / "arm")
