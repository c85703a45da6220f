"""The autoencoder: the scale of its latents, its reconstruction error, and published weights."""

import json

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from histoforge.autoencoder.architecture import Architecture
from histoforge.autoencoder.network import Autoencoder
from histoforge.autoencoder.published import build_published
from histoforge.autoencoder.reconstruction import reconstruct, reconstruction_error
from histoforge.core.errors import ModelError
from histoforge.metrics.extract import NamedExtractor
from histoforge.metrics.frechet import frechet_distance
from histoforge.patches.device import to_unit

ARCHITECTURE = Architecture(block_out_channels=(8, 16), layers_per_block=1, latent_channels=2, norm_num_groups=4)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Autoencoder(ARCHITECTURE).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)


def test_the_scale_gives_latents_unit_variance_and_leaves_reconstructions_as_they_are(network, images):
    unit = to_unit(torch.from_numpy(images).permute(0, 3, 1, 2))
    before = network.decode(network.encode(unit))
    network.fit_scale(unit)
    latents = network.encode(unit)
    assert latents.shape == (5, 2, 8, 8)
    assert abs(float(latents.std()) - 1) < 1e-5
    assert abs(float(network.scale) - 1) > 0.05
    torch.testing.assert_close(network.decode(latents), before, rtol=1e-4, atol=1e-5)


def test_the_error_is_that_of_its_definition_and_of_torchmetrics(images):
    noise = np.random.default_rng(1).normal(0, 20, images.shape)
    restored = (images + noise).clip(0, 255).astype(np.uint8)
    extractor = NamedExtractor("means", lambda batch: batch.mean((2, 3)))
    error = reconstruction_error(images, restored, CPU, extractor)
    assert error.images == 5
    squares = np.square(images.astype(float) - restored).mean((1, 2, 3))
    assert error.psnr == pytest.approx(np.mean(20 * np.log10(255) - 10 * np.log10(squares)), abs=1e-3)
    tensors = [torch.from_numpy(values).permute(0, 3, 1, 2).double() for values in (images, restored)]
    _, similarity = structural_similarity_index_measure(*tensors, data_range=255.0, return_full_image=True)
    assert error.ssim == pytest.approx(float(similarity[..., 5:-5, 5:-5].mean()), abs=1e-4)
    means = [2 * values.astype(np.float32).mean((1, 2)) / 255 - 1 for values in (images, restored)]
    assert error.fid == pytest.approx(frechet_distance(*means), rel=1e-3)
    assert error.extractor == "means"


def test_the_error_of_perfect_reconstructions_is_finite(images):
    error = reconstruction_error(images, images, CPU)
    assert (error.ssim, error.fid) == (1.0, None)
    assert error.psnr == pytest.approx(10 * np.log10(255**2 * 12), abs=1e-3)


def test_reconstructions_do_not_depend_on_the_batch(network, images):
    whole = reconstruct(network, np.concatenate([images] * 7), CPU, torch.float32)
    np.testing.assert_array_equal(whole[-5:], reconstruct(network, images, CPU, torch.float32))


def test_published_weights_decode_as_diffusers_does(network, images):
    config = {**ARCHITECTURE.model_dump(mode="json"), "_class_name": "AutoencoderKL", "sample_size": 32}
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = network.vae.state_dict()
    for new, old in former.items():
        weights = {name.replace(f"attentions.0.{new}", f"attentions.0.{old}"): t for name, t in weights.items()}
    assert any(name.endswith("proj_attn.weight") for name in weights)
    built = build_published(weights, json.dumps(config).encode(), "vae.safetensors").eval()
    unit = to_unit(torch.from_numpy(images).permute(0, 3, 1, 2))
    torch.testing.assert_close(built.encode(unit), network.vae.encode(unit).latent_dist.mode())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "There is no config.json beside vae.safetensors"),
        (b"[]", "is not that of diffusers' AutoencoderKL"),
        (b'{"sample_size": 32}', "is not that of diffusers' AutoencoderKL"),
        (b'{"block_out_channels": [8, 16], "norm_num_groups": 3}', "is not that of diffusers' AutoencoderKL"),
        (b'{"block_out_channels": [8, 16, 16], "latent_channels": 2, "norm_num_groups": 4}', "do not fit"),
        (b'{"block_out_channels": [8, 16], "latent_channels": 4, "norm_num_groups": 4}', r"the shape \[4, 16, 3, 3\]"),
    ],
)
def test_published_weights_of_another_architecture_are_refused(network, config, message):
    with pytest.raises(ModelError, match=message):
        build_published(network.vae.state_dict(), config, "vae.safetensors")
