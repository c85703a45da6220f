"""Latent spaces: `sample` equals `decode` of the noise, and a point gives the same patch in any batch."""

import pytest
import torch

from histoforge.core.seeds import derive_seed
from histoforge.generators.dcgan.network import DcganGenerator
from histoforge.generators.ddpm.network import DenoisingNetwork
from histoforge.generators.histogan.trained import build
from histoforge.generators.joining import merged
from histoforge.generators.loading import LatentGenerator, load_generator
from histoforge.generators.methods import METHODS
from histoforge.training.model_files import ModelInfo, save_model

SIDE = (16, 16)
CLASSES = ["benign", "invasive"]
DDPM = {"unet_channels": 8, "levels": 2, "level_blocks": 1, "attention_size": 4, "sampling_steps": 4, "dropout": 0}
KINDS = {
    "dcgan": {"generator_maps": 8, "z_dim": 5},
    "histogan": {"stages": 1, "up_blocks": 2, "z_dim": 5, "base_channels": 16, "min_channels": 8, "residual_blocks": 1},
    "ddpm": {**DDPM, "by_label": True},
    "ddpm a class": DDPM,
    "ddpm with noise": {**DDPM, "by_label": True, "eta": 1.0},
}


def network(method, config):
    torch.manual_seed(derive_seed(0, method))
    if method == "dcgan":
        return DcganGenerator(config, SIDE, 2)
    if method == "ddpm":
        return DenoisingNetwork(config, SIDE, 2 if config.by_label else 1)
    return build(config, SIDE, 2)


def generator_of(kind, folder, precision="float32"):
    method = kind.partition(" ")[0]
    config = METHODS[method].config({**KINDS[kind], "precision": precision, "device": "cpu"})
    states = [network(method, config).state_dict()]
    if config.class_wise:
        other = {name: value + 0.1 if value.is_floating_point() else value.clone() for name, value in states[0].items()}
        states = [merged([states[0], other])]
    info = ModelInfo(kind="generator", method=method, config=config.model_dump(), classes=CLASSES, patch_size=SIDE)
    save_model(folder / "model", info, states[0])
    return load_generator(folder / "model", "cpu")


@pytest.mark.parametrize("kind", ["dcgan", "histogan", "ddpm"])
def test_decoding_noise_gives_what_is_drawn_from_it(kind, tmp_path):
    generator = generator_of(kind, tmp_path)
    assert isinstance(generator, LatentGenerator)
    for labels in (torch.tensor([1, 1, 1]), torch.tensor([0, 0, 0])):
        points = generator.latents(labels, torch.Generator().manual_seed(4))
        drawn = generator.sample(labels, torch.Generator().manual_seed(4))
        torch.testing.assert_close(generator.decode(points, labels), drawn)


@pytest.mark.parametrize("kind", ["dcgan", "histogan", "ddpm", "ddpm a class"])
def test_a_point_gives_the_same_patch_in_any_batch(kind, tmp_path):
    generator = generator_of(kind, tmp_path)
    labels = torch.tensor([1, 0, 1, 0])
    points = generator.latents(labels, torch.Generator().manual_seed(5))
    whole = generator.decode(points, labels)
    for row in range(4):
        alone = generator.decode(points[row : row + 1], labels[row : row + 1])
        torch.testing.assert_close(alone[0], whole[row], atol=1e-4, rtol=1e-3)
    other = generator.decode(points, 1 - labels)
    assert (other - whole).abs().amax(dim=(1, 2, 3)).min() > 1e-3


@pytest.mark.parametrize("kind", ["dcgan", "histogan", "ddpm"])
def test_decoding_is_float32_whatever_the_precision_of_the_model(kind, tmp_path):
    exact, coarse = (generator_of(kind, tmp_path / name, name) for name in ("float32", "bfloat16"))
    labels = torch.zeros(2, dtype=torch.int64)
    points = exact.latents(labels, torch.Generator().manual_seed(6))
    assert torch.equal(exact.decode(points, labels), coarse.decode(points, labels))
    moved = coarse.decode(points + 1e-4 * points.flip(0), labels)
    assert 0 < (moved - coarse.decode(points, labels)).abs().max() < 1e-2


def test_a_diffusion_model_that_adds_noise_on_the_way_has_no_latent_space(tmp_path):
    assert not isinstance(generator_of("ddpm with noise", tmp_path), LatentGenerator)
