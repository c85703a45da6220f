"""Coding by tiles equals coding the whole, as far as a network lets it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from untrained_pathup import FACTOR, untrained_pathup

from histoforge.generators.pathup.tiled import decode_tiled, encode_tiled
from histoforge.patches.device import to_uint8, to_unit


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pooled(images):
    """An encoder without a receptive field beyond its 4 px."""
    return F.avg_pool2d(images, FACTOR)


def repeated(latents):
    """A decoder without one."""
    return F.interpolate(latents, scale_factor=FACTOR).clamp(-1, 1)


@pytest.mark.parametrize(("size", "overlap"), [((40, 56), 4), ((36, 64), 0), ((32, 32), 7)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_local_coders_leave_no_trace_of_tiles(size, overlap, batch_size):
    tile, pixels = (8, 8), image(*size)
    latent = encode_tiled(pooled, pixels, 3, tile, overlap, FACTOR, batch_size)
    whole = pooled(to_unit(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)))
    torch.testing.assert_close(latent[None], whole)
    decoded = decode_tiled(repeated, latent, tile, overlap, FACTOR, batch_size)
    difference = np.abs(decoded.astype(int) - to_uint8(repeated(whole))[0].numpy())
    assert decoded.shape == (*size, 3)
    assert difference.max() <= 1  # rounding


def test_overlap_hides_what_a_convolution_misses_at_the_edge_of_a_tile():
    """Beyond the edge of a tile, a convolution sees zeros instead of the neighbouring latents."""
    torch.manual_seed(0)
    blur = nn.Conv2d(3, 3, 5, padding=2, bias=False)
    nn.init.constant_(blur.weight, 0.02)

    def decode(latents):
        return repeated(blur(latents))

    latent = torch.ones(3, 24, 24)
    with torch.inference_mode():
        whole = to_uint8(decode(latent[None]))[0].numpy().astype(int)
        errors = [
            np.abs(decode_tiled(decode, latent, (8, 8), overlap, FACTOR, 4).astype(int) - whole).max()
            for overlap in (0, 4)
        ]
    assert errors[1] < errors[0] / 2


def test_a_real_decoder_draws_its_own_tile_in_an_image_of_one_tile():
    model = untrained_pathup()
    latent = torch.randn(3, 8, 8)
    with torch.inference_mode():
        decoded = decode_tiled(model.autoencoder.decode, latent, (8, 8), 4, FACTOR, 4)
        expected = to_uint8(model.autoencoder.decode(latent[None]))[0].numpy()
    assert np.abs(decoded.astype(int) - expected).max() <= 1
