"""Artefacts at the borders of blocks, which networks that draw in blocks or windows are known for."""

import numpy as np
import torch
from numpy.typing import NDArray

BLOCK = 8
"""Side of a block, px: windows of attention, upsampled tokens, and the blocks of JPEG are 8 px or a multiple."""
READ_ROWS = 512


def block_edges(images: NDArray[np.uint8]) -> float | None:
    """Return the gradient energy at the borders of blocks of 8 px, divided by that elsewhere.

    The energy is the mean squared difference of the luminance of neighbouring pixels, over all patches and both
    directions. Images without a preferred position, such as tissue, have 1; a visible grid of blocks gives more.

    Args:
        images: patches, uint8 [N, H, W, 3].

    Returns:
        The ratio; None if the patches are too small or have no gradients elsewhere.
    """
    sums, counts = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for start in range(0, len(images), READ_ROWS):
        grey = torch.from_numpy(np.ascontiguousarray(images[start : start + READ_ROWS])).float().mean(3)
        for axis in (1, 2):
            # [positions]: mean energy between pixel i and pixel i + 1 along the axis
            energy = grey.diff(dim=axis).square().double().sum((0, 3 - axis))
            at_border = torch.arange(1, len(energy) + 1) % BLOCK == 0
            for index, chosen in enumerate((at_border, ~at_border)):
                sums[index] += energy[chosen].sum()
                counts[index] += int(chosen.sum()) * len(grey) * grey.shape[3 - axis]
    if not counts.all() or not sums[1]:
        return None
    at_borders, elsewhere = (sums / counts).tolist()
    return float(at_borders / elsewhere)
