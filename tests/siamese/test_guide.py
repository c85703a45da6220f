"""A guide on disk and in use: it is frozen, and refused if it does not fit."""

import numpy as np
import pytest
import torch
from tiny_guide import CLASSES, guide_info, save_random_guide

from histoforge.core.errors import ModelError
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.siamese.cost import inference_cost
from histoforge.siamese.guide import NORMALISATION, load_guide
from histoforge.siamese.network import MftSnn
from histoforge.training.model_files import save_model

CPU = (torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return save_random_guide(tmp_path_factory.mktemp("guide") / "guide", size=16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_embeds_without_gradients_at_its_precision(path, dtype):
    guide = load_guide(path, torch.device("cpu"), dtype)
    images = (torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1).requires_grad_()
    embedded = guide.embed(images)
    assert embedded.dtype == torch.float32
    assert not embedded.requires_grad
    assert not any(p.requires_grad for p in guide.network.parameters())
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(5))
    with torch.no_grad():
        torch.testing.assert_close(embedded, guide.network(images), rtol=0.1, atol=0.02)
        assert torch.equal(embedded, guide.network(images)) == (dtype == torch.float32)


def test_patches_that_fit_raise_no_error(path):
    guide = load_guide(path, *CPU)
    guide.check_fits(CLASSES, (16, 16), 0.5, "the patch set")
    guide.check_fits(CLASSES, (16, 16), 0.51, "the patch set")
    guide.check_fits(CLASSES, (16, 16), None, "the patch set")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((["a", "b"], (16, 16), 0.5), "trained on the classes benign, tumour, and the pool has a, b"),
        ((CLASSES, (32, 32), 0.5), "trained on patches of 16x16 px, and the pool has 32x32 px"),
        ((CLASSES, (16, 16), 1.0), "trained at 0.5 um/px, and the pool has 1 um/px"),
    ],
)
def test_other_patches_are_refused(path, given, message):
    with pytest.raises(ModelError, match=f"{message}: run finetune_snn on that patch set"):
        load_guide(path, *CPU).check_fits(*given, "the pool")


def stained(path, stain):
    with PatchSetWriter.create(path, CLASSES, (16, 16), 0.5) as writer:
        writer.add(np.zeros((1, 16, 16, 3), np.uint8), label=0)
        writer.finish({"config": {"stain": stain}} if stain else {"step": "test"})
    return PatchSet.open(path)


def test_patches_of_another_stain_normalisation_are_refused(tmp_path):
    guide = load_guide(write(tmp_path / "g", MftSnn(0.125), stain="macenko"), *CPU)
    for stain in ("macenko", ""):
        guide.check_patches(stained(tmp_path / f"same-{stain}", stain), "the patch set")
    with pytest.raises(ModelError, match="the stain normalisation 'macenko', and the patch set has 'none'"):
        guide.check_patches(stained(tmp_path / "other", "none"), "the patch set")


def write(path, network, **config):
    info = guide_info(size=16)
    save_model(path, info.model_copy(update={"config": {**info.config, **config}}), network.state_dict())
    return path


def test_another_normalisation_is_refused(tmp_path):
    other = write(tmp_path / "g", MftSnn(0.125), normalisation={**NORMALISATION, "range": [0.0, 1.0]})
    with pytest.raises(ModelError, match="trained on images of another normalisation"):
        load_guide(other, *CPU)


def test_weights_of_another_width_are_refused(tmp_path):
    with pytest.raises(ModelError, match="do not fit its description"):
        load_guide(write(tmp_path / "g", MftSnn(0.25), width=0.125), *CPU)


def test_a_folder_without_a_guide_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="is not a model"):
        load_guide(tmp_path, *CPU)


def test_the_cost_counts_each_multiplication(path):
    guide = load_guide(path, *CPU)
    cost = inference_cost(guide, 4)
    macs = side = 0
    channels, side = 3, 16
    for module in guide.network.features:
        if isinstance(module, torch.nn.MaxPool2d):
            side //= 2
        elif isinstance(module, torch.nn.Conv2d):
            macs += side * side * 9 * channels * module.out_channels
            channels = module.out_channels
    assert cost.macs_per_image == macs
    assert cost.images_per_second == pytest.approx(4 / cost.seconds, rel=0.01)
    assert cost.parameters == sum(p.numel() for p in guide.network.features.parameters())
