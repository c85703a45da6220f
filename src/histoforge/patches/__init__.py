"""The patch set: labelled patches on disk, real or synthetic, in a common format.

A patch set is a directory with the pixels in files of bounded size, `images/00000.npy` and so on (uint8 [n, H, W, 3], C
order) or, for patches of 256 px and more, `images/00000.parquet` (one PNG per row), `index.parquet` (one row per patch)
and `patchset.json` (`PatchSetInfo`).
"""

from histoforge.patches.description import PatchSetInfo
from histoforge.patches.patchset import PatchSet
from histoforge.patches.writer import PatchSetWriter

__all__ = ["PatchSet", "PatchSetInfo", "PatchSetWriter"]
