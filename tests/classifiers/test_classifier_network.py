"""The network: torchvision's arithmetic, split at the dropout of the paper."""

import pytest
import torch
import torchvision
from torch.testing import assert_close

from histoforge.classifiers.backbones.registry import BACKBONES
from histoforge.classifiers.backbones.resnet import STAGE_BLOCKS
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.study import build
from histoforge.core.errors import ModelError, SettingsError
from histoforge.training.model_files import ModelInfo


def make(method="resnet18", stem="imagenet", width=1.0, size=64, normalisation=False, seed=0):
    torch.manual_seed(seed)
    config = {"stem": stem, "width": width, "dropout": 0.5, "imagenet_normalisation": normalisation}
    info = ModelInfo(kind="classifier", method=method, config=config, classes=["a", "b", "c"], patch_size=(size, size))
    return Classifier(info).eval()


def images(count=3, size=64):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("method", ["resnet18", "resnet34", "resnet50"])
def test_the_network_is_torchvisions(method):
    classifier = make(method, normalisation=True)
    published = getattr(torchvision.models, method)(num_classes=3).eval()
    state = {name.removeprefix("backbone."): tensor for name, tensor in classifier.state_dict().items()}
    published.load_state_dict(state)
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.inference_mode():
        expected = published(normalise((images() + 1) / 2))
        assert_close(classifier(images()), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "stem", "tensors", "total"),
    [("resnet10", "small", 74, 13974.5125297), ("resnet50", "imagenet", 320, 102697.8237620)],
)
def test_a_seed_gives_the_same_resnet_in_all_versions(method, stem, tensors, total):
    info = make(method, stem, width=0.25).info
    state = build(info, None, "", 3).state_dict()
    assert len(state) == tensors
    weights = [state[name].double().abs().sum() for name in sorted(state)]
    assert float(sum(weights)) == pytest.approx(total, rel=1e-6)


def test_without_pretrained_weights_images_are_not_normalised():
    classifier = make()
    assert_close(images() * classifier.scale + classifier.shift, images())


def test_the_dropout_of_a_resnet34_lies_between_the_second_and_the_third_block_of_layer4():
    classifier = make("resnet34", width=0.125).requires_grad_(False)
    seen = {}
    layer4 = classifier.backbone.stages[3]
    layer4[1].register_forward_hook(lambda module, inputs, output: seen.update(before=output))
    layer4[2].register_forward_hook(lambda module, inputs, output: seen.update(after=inputs[0]))
    classifier.mc_dropout(True)
    classifier(images())
    kept = seen["after"] != 0
    assert_close(seen["after"], torch.where(kept, seen["before"] * 2, torch.zeros(())))
    positive = seen["before"] > 0
    assert 0.4 < (kept & positive).sum() / positive.sum() < 0.6


def test_monte_carlo_dropout_changes_neither_batch_norm_nor_the_trunk():
    classifier = make(width=0.125).requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    classifier.mc_dropout(True)
    assert [type(module) for module in classifier.modules() if module.training] == [torch.nn.Dropout]
    first, second = classifier.trunk(images()), classifier.trunk(images())
    assert torch.equal(first.hidden, second.hidden)
    assert not torch.equal(classifier.tail(first.hidden).logits, classifier.tail(second.hidden).logits)
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.state_dict().items())
    classifier.mc_dropout(False)
    assert torch.equal(classifier(images()), classifier(images()))


@pytest.mark.parametrize(("method", "stages", "blocks"), [("resnet18", 3, 7), ("resnet34", 3, 15), ("resnet10", 3, 3)])
def test_the_trunk_returns_maps_of_stages_or_of_blocks(method, stages, blocks):
    classifier = make(method, width=0.125)
    with torch.inference_mode():
        by_stage, by_block = classifier.trunk(images()), classifier.trunk(images(), "blocks")
    assert [tuple(m.shape[1:]) for m in by_stage.maps] == [(8, 16, 16), (16, 8, 8), (32, 4, 4)]
    assert (len(by_stage.maps), len(by_block.maps)) == (stages, blocks)
    assert torch.equal(by_block.maps[STAGE_BLOCKS[method][1][0] - 1], by_stage.maps[0])
    assert torch.equal(by_block.maps[-1], by_block.hidden)


def test_logits_come_from_the_features_by_the_last_layer():
    classifier = make(width=0.125)
    with torch.inference_mode():
        assert_close(classifier.fc(classifier.features(images())), classifier(images()))


def test_logits_are_float32_under_autocast():
    classifier = make(width=0.125)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert classifier(images()).dtype == classifier.features(images()).dtype == torch.float32


def test_stem_auto_is_small_below_64_px_unless_weights_are_given():
    assert BACKBONES["resnet18"].resolve_stem("auto", (48, 96), pretrained=False) == "small"
    assert BACKBONES["resnet18"].resolve_stem("auto", (64, 64), pretrained=False) == "imagenet"
    assert BACKBONES["resnet18"].resolve_stem("auto", (48, 48), pretrained=True) == "imagenet"
    assert BACKBONES["resnet18"].resolve_stem("small", (96, 96), pretrained=False) == "small"


def test_the_small_stem_keeps_the_resolution():
    with torch.inference_mode():
        assert make(stem="small", width=0.125, size=24).trunk(images(1, 24)).maps[0].shape[2:] == (24, 24)


def test_an_unknown_backbone_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match="no backbone 'resnet43'.*did you mean 'resnet"):
        make("resnet43")


def test_other_classes_or_another_patch_size_are_refused():
    classifier = make(width=0.125)
    classifier.check_fits(["a", "b", "c"], (64, 64), "the patch set x")
    with pytest.raises(ModelError, match="was trained on the classes a, b, c, and the patch set x has b, a, c"):
        classifier.check_fits(["b", "a", "c"], (64, 64), "the patch set x")
    with pytest.raises(ModelError, match="64x64 px, and the patch set x has 64x96 px"):
        classifier.check_fits(["a", "b", "c"], (64, 96), "the patch set x")
