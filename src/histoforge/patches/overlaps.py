"""Tiles that overlap on their slide, and therefore share pixels."""

import numpy as np
from numpy.typing import NDArray

from histoforge.patches.patchset import PatchSet


def overlapping(patches: PatchSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of a patch in `rows` (its place there) and a patch that overlaps it on its slide, int64 [P, 2].

    Patches overlap only in sets that were cut with a stride below the patch size; elsewhere there are no pairs, not
    even of a patch and itself.
    """
    pairs = [np.empty((0, 2), np.int64)]
    config = patches.info.made_by.get("config") or {}
    stride = int(config.get("stride") or 0)
    if not 0 < stride < max(patches.patch_size):
        return pairs[0]
    index = patches.index
    slides = index["slide"].astype(str).to_numpy()
    columns, tops = index["x"].to_numpy(np.int64), index["y"].to_numpy(np.int64)
    for slide in np.unique(slides[rows]):
        on_slide = np.flatnonzero(slides == slide)
        step = _step(columns[on_slide], tops[on_slide])
        here = np.flatnonzero(slides[rows] == slide)
        near = np.ones((len(here), len(on_slide)), bool)
        for starts, side in ((tops, patches.patch_size[0]), (columns, patches.patch_size[1])):
            distance = np.abs(starts[rows[here]][:, None] - starts[on_slide][None])
            near &= distance < side / stride * step
        patch, neighbour = near.nonzero()
        pairs.append(np.stack([here[patch], on_slide[neighbour]], 1))
    return np.concatenate(pairs)


def _step(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """Return the distance of neighbouring tiles of a slide, level-0 px; the stride is as many px of a patch."""
    gaps = np.concatenate([np.diff(np.unique(starts)) for starts in (columns, rows)])
    return float(np.median(gaps)) if len(gaps) else 1.0
