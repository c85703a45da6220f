"""Synthetic patches whose pixels equal those of another patch, unchanged or flipped."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.results import Result
from histoforge.patches import PatchSet
from histoforge.patches.duplicates import pixel_key
from histoforge.siamese.retrieval import Flip

READ_ROWS = 512


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
    """Pixel keys (`pixel_keys`): one array per view of the synthetic patches, uint64 [S]; [T] and [H]."""

    synthetic: Sequence[NDArray[np.uint64]]
    training: NDArray[np.uint64]
    held_out: NDArray[np.uint64]


def pixel_keys(patches: PatchSet, flip: Flip = ()) -> NDArray[np.uint64]:
    """Return a 64-bit key per patch, computed after flipping, that is equal for equal pixels, uint64 [N]."""
    keys = np.empty(len(patches), np.uint64)
    for start in range(0, len(patches), READ_ROWS):
        rows = slice(start, start + READ_ROWS)
        keys[rows] = [pixel_key(patch) for patch in np.flip(patches.images(rows), flip)]
    return keys


def first_matches(keys: NDArray[np.uint64], others: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Return pairs (row, first row of `others`) with the same key."""
    known, first = np.unique(others, return_index=True)
    places = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return [(int(row), int(first[places[row]])) for row in np.flatnonzero(known[places] == keys)]


def find_copies(keys: PixelKeys) -> Copies:
    """Find the synthetic patches that have the same pixels as another patch."""
    own = keys.synthetic[0]
    of_training, of_held_out = (
        {row: other for view in reversed(keys.synthetic) for row, other in first_matches(view, others)}
        for others in (keys.training, keys.held_out)
    )
    earlier = {row: first for view in keys.synthetic for row, first in first_matches(view, own) if first < row}
    training, held_out, within = (sorted(found.items()) for found in (of_training, of_held_out, earlier))
    return Copies(of_training=training, of_held_out=held_out, within=within)
