"""Synthetic patches whose pixels equal those of another patch, unchanged, flipped or rotated."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.results import Result
from histoforge.patches.blocks import Images, read_blocks
from histoforge.patches.duplicates import pixel_key
from histoforge.patches.images import Pixels

READ_ROWS = 512
Flip = tuple[int, ...]
FLIPS: tuple[Flip, ...] = ((), (1,), (2,), (1, 2))
"""Unchanged, upside down, mirrored, and both: the flipped axes of [N, H, W, 3]."""


class Copies(Result):
    """Patches with the same pixels.

    Attributes:
        of_training, of_held_out: pairs (synthetic row, first row), in any view.
        within: pairs (synthetic row, earlier synthetic row).
    """

    of_training: list[tuple[int, int]]
    of_held_out: list[tuple[int, int]]
    within: list[tuple[int, int]]


@dataclass(frozen=True)
class PixelKeys:
    """Pixel keys (`pixel_keys`) of the patches of an audit.

    Attributes:
        synthetic: one array per view, uint64 [S].
        training: uint64 [T].
        held_out: uint64 [H]; empty if held-out patches are not searched for copies.
    """

    synthetic: Sequence[NDArray[np.uint64]]
    training: NDArray[np.uint64]
    held_out: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


def symmetric_pixel_keys(patches: Images) -> list[NDArray[np.uint64]]:
    """Return the pixel keys of the eight flips and rotations of patches, the first unchanged, uint64 [N] each."""
    views = [(turn, flip) for turn in (0, 1) for flip in FLIPS]
    keys = [np.empty(len(patches), np.uint64) for _ in views]
    for rows, images in read_blocks(patches, READ_ROWS):
        for of_view, (turn, flip) in zip(keys, views, strict=True):
            of_view[rows] = _keys(images, flip, turn)
    return keys


def pixel_keys(patches: Images, flip: Flip = (), turns: int = 0) -> NDArray[np.uint64]:
    """Return a 64-bit key per patch, computed after turning and flipping, that is equal for equal pixels, uint64 [N].

    Args:
        patches: a patch set, or uint8 [N, H, W, 3].
        flip: the axes to flip, one of `FLIPS`.
        turns: number of rotations by 90 degrees.
    """
    keys = np.empty(len(patches), np.uint64)
    for rows, images in read_blocks(patches, READ_ROWS):
        keys[rows] = _keys(images, flip, turns)
    return keys


def _keys(images: Pixels, flip: Flip, turns: int) -> list[int]:
    return [pixel_key(image) for image in np.flip(np.rot90(images, turns, (1, 2)), flip)]


def first_matches(keys: NDArray[np.uint64], searched: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Return pairs (row, first row of `searched`) with the same key."""
    if not len(searched):
        return []
    distinct_keys, first = np.unique(searched, return_index=True)
    positions = np.searchsorted(distinct_keys, keys).clip(max=len(distinct_keys) - 1)
    return [(int(row), int(first[positions[row]])) for row in np.flatnonzero(distinct_keys[positions] == keys)]


def find_copies(keys: PixelKeys) -> Copies:
    """Find the synthetic patches that have the same pixels as another patch."""
    of_training, of_held_out = (
        {row: match for view in reversed(keys.synthetic) for row, match in first_matches(view, searched)}
        for searched in (keys.training, keys.held_out)
    )
    unflipped = keys.synthetic[0]
    within = {row: first for view in keys.synthetic for row, first in first_matches(view, unflipped) if first < row}
    return Copies(
        of_training=sorted(of_training.items()),
        of_held_out=sorted(of_held_out.items()),
        within=sorted(within.items()),
    )
