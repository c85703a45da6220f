"""Patches in blocks of bounded size, so that a pass over a set of any size needs the memory of one block."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.patches.device import to_unit
from histoforge.patches.images import Pixels
from histoforge.patches.patchset import PatchSet

Images = PatchSet | NDArray[np.uint8]
"""A patch set, or patches in memory, uint8 [N, H, W, 3]."""
BLOCK_BYTES = 1 << 26
BLOCK_ROWS = 4096


def read_blocks(patches: Images, most: int = BLOCK_ROWS, multiple: int = 1) -> Iterator[tuple[slice, Pixels]]:
    """Yield consecutive rows with their pixels, uint8 [n, H, W, 3], 64 MiB at most.

    Args:
        patches: the patches.
        most: maximum number of patches in a block.
        multiple: number of patches that stay in one block, such as a batch, even where they exceed 64 MiB.
    """
    height, width = size_of(patches)
    fitting = min(most, BLOCK_BYTES // (3 * height * width))
    step = max(multiple, fitting // multiple * multiple)
    for start in range(0, len(patches), step):
        rows = slice(start, min(start + step, len(patches)))
        yield rows, patches.images(rows) if isinstance(patches, PatchSet) else patches[rows]


def read_batches(patches: Images, batch_size: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Yield consecutive rows with their images on a device, float32 [B, 3, H, W] in [-1, 1], channels_last."""
    for rows, pixels in read_blocks(patches, multiple=batch_size):
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        for start, batch in zip(range(rows.start, rows.stop, batch_size), images.split(batch_size), strict=True):
            yield slice(start, start + len(batch)), to_unit(batch.to(device))


def size_of(patches: Images) -> tuple[int, int]:
    """Return the height and width of patches, px."""
    return patches.patch_size if isinstance(patches, PatchSet) else patches.shape[1:3]


def rows_of(patches: Images, rows: NDArray[np.int64]) -> Images:
    """Return some of the patches, int64 [n]."""
    return patches.where(rows) if isinstance(patches, PatchSet) else patches[rows]
