"""The patch set: labelled patches on disk, real or synthetic, always in one format.

A directory with `images.npy` (uint8 [N, H, W, 3], C order) or, for patches of 256 px and more, `images.parquet` (one
PNG a row), `index.parquet` (a row a patch) and `patchset.json` (`PatchSetInfo`).
"""

from histoforge.patches.patchset import PatchSet, PatchSetInfo
from histoforge.patches.writer import PatchSetWriter

__all__ = ["PatchSet", "PatchSetInfo", "PatchSetWriter"]
