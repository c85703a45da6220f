"""Tiles that overlap on their slide, and therefore share pixels."""

import numpy as np
from numpy.typing import NDArray

from histoforge.patches.patchset import PatchSet


def overlapping(patches: PatchSet, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the patches overlap the patches in `rows` on their slide, bool [R, N].

    Patches overlap only in sets that were cut with a stride below the patch size; elsewhere the result is False, also
    for a patch and itself.
    """
    shares = np.zeros((len(rows), len(patches)), bool)
    config = patches.info.made_by.get("config") or {}
    stride = int(config.get("stride") or 0)
    if not 0 < stride < max(patches.patch_size):
        return shares
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
        shares[np.ix_(here, on_slide)] = near
    return shares


def _step(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """Return the distance of neighbouring tiles of a slide, level-0 px; the stride is as many px of a patch."""
    gaps = np.concatenate([np.diff(np.unique(starts)) for starts in (columns, rows)])
    return float(np.median(gaps)) if len(gaps) else 1.0
