"""Seams: gradients across the borders of blocks or windows, compared with those elsewhere."""

from collections.abc import Collection

import numpy as np
import torch

from histoforge.patches.blocks import Images, read_blocks


def seam_energy(images: Images, rows: Collection[int], columns: Collection[int], grid: int = 1) -> float | None:
    """Return the gradient energy across borders, divided by that elsewhere.

    The energy is the mean squared difference of the luminance of neighbouring pixels, over all images and both
    directions. Images without a preferred position, such as tissue, have 1; visible seams give more.

    A decoder that enlarges its input by a factor may draw a fine grid of that many px, whether or not a window ends
    there. With `grid`, the borders are compared with the other lines of this grid alone.

    Args:
        images: a patch set, or uint8 [N, H, W, 3].
        rows: borders above these rows, each from 1 to H - 1.
        columns: borders to the left of these columns, each from 1 to W - 1.
        grid: spacing of the lines to compare with, px; the borders lie on multiples of it.

    Returns:
        The ratio; None without borders, without other lines, or without gradients there.
    """
    sums, counts = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for _, pixels in read_blocks(images):
        grey = torch.from_numpy(np.ascontiguousarray(pixels)).float().mean(3)
        for axis, borders in ((1, rows), (2, columns)):
            if not borders:  # its other lines need not be like those that the borders are compared with
                continue
            # [positions]: mean energy between pixel i - 1 and pixel i along the axis, for i from 1
            energy = grey.diff(dim=axis).square().double().sum((0, 3 - axis))
            position = torch.arange(1, len(energy) + 1)
            at_border = torch.isin(position, torch.tensor(list(borders), dtype=torch.int64))
            for index, chosen in enumerate((at_border, ~at_border & (position % grid == 0))):
                sums[index] += energy[chosen].sum()
                counts[index] += int(chosen.sum()) * len(grey) * grey.shape[3 - axis]
    if not counts.all() or not sums[1]:
        return None
    at_borders, elsewhere = (sums / counts).tolist()
    return float(at_borders / elsewhere)
