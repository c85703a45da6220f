"""Encoding and decoding of large images by overlapping tiles, with memory that depends on the size of a tile."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from histoforge.generators.pathup.windows import (
    Corner,
    Size,
    crop,
    edge_distance,
    merge_windows,
    window_corners,
    window_starts,
)
from histoforge.patches.device import to_uint8, to_unit
from histoforge.patches.images import Pixels


def encode_tiled(
    encode: Callable[[Tensor], Tensor],
    image: Pixels,
    channels: int,
    tile: Size,
    overlap: int,
    factor: int,
    batch_size: int,
) -> Tensor:
    """Encode a large image by tiles, float32 [C, H / factor, W / factor] on the CPU.

    Args:
        encode: takes images, float32 [B, 3, h factor, w factor] in [-1, 1], and returns latents, [B, C, h, w].
        image: uint8 [H, W, 3]; both sides are multiples of `factor`.
        channels: channels of a latent (C).
        tile: height and width of a tile, px of the latent.
        overlap: what neighbouring tiles share, px of the latent.
        factor: px of the image per px of the latent.
        batch_size: tiles per call.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    area = (image.shape[0] // factor, image.shape[1] // factor)

    def encoded(corners: Sequence[Corner]) -> Tensor:
        sides = (tile[0] * factor, tile[1] * factor)
        return encode(to_unit(torch.stack([crop(pixels, (y * factor, x * factor), sides) for y, x in corners])))

    corners = window_corners(area, tile, overlap)
    return merge_windows(encoded, corners, (channels, *area), edge_distance(tile), batch_size)


def decode_tiled(
    decode: Callable[[Tensor], Tensor], latent: Tensor, tile: Size, overlap: int, factor: int, batch_size: int
) -> Pixels:
    """Decode a large latent by tiles, uint8 [H factor, W factor, 3].

    Neighbouring tiles fade into each other, because a decoder lacks the surroundings of the pixels at a tile's edge.
    Besides the image, memory holds one row of tiles.

    Args:
        decode: takes latents, float32 [B, C, h, w], and returns images, [B, 3, h factor, w factor] in [-1, 1].
        latent: float32 [C, H, W].
        tile, overlap, factor, batch_size: as in `encode_tiled`.
    """
    height, width = latent.shape[1:]
    sides = (tile[0] * factor, tile[1] * factor)
    weights = edge_distance(sides)
    image = np.empty((height * factor, width * factor, 3), np.uint8)
    total, weight = torch.zeros(3, sides[0], width * factor), torch.zeros(sides[0], width * factor)
    columns = window_starts(width, tile[1], overlap)
    for row, next_row in pairwise([*window_starts(height, tile[0], overlap), height]):
        for start in range(0, len(columns), batch_size):
            batch = columns[start : start + batch_size]
            tiles = decode(torch.stack([crop(latent, (row, column), tile) for column in batch]))
            for column, values in zip(batch, tiles.float().cpu(), strict=True):
                crop(total, (0, column * factor), sides).add_(weights * values)
                crop(weight, (0, column * factor), sides).add_(weights)
        finished = (next_row - row) * factor  # rows that no later tile reaches
        image[row * factor : next_row * factor] = to_uint8((total / weight)[None, :, :finished])[0].numpy()
        total, weight = _moved_up(total, finished), _moved_up(weight, finished)
    return image


def _moved_up(band: Tensor, rows: int) -> Tensor:
    """Drop the first rows of a band, [..., H, W], and append as many rows of zeros."""
    return torch.cat([band[..., rows:, :], torch.zeros_like(band[..., :rows, :])], dim=-2)
