"""Artefacts at the borders of blocks, which networks that draw in blocks or windows are known for."""

from histoforge.metrics.seams import seam_energy
from histoforge.patches.blocks import Images, size_of

BLOCK = 8
"""Side of a block, px: windows of attention, upsampled tokens, and the blocks of JPEG are 8 px or a multiple."""


def block_edges(images: Images) -> float | None:
    """Return the gradient energy at the borders of blocks of 8 px, divided by that elsewhere (see `seam_energy`).

    A visible grid of blocks gives more than 1.

    Args:
        images: a patch set, or uint8 [N, H, W, 3].

    Returns:
        The ratio; None if the patches are too small or have no gradients elsewhere.
    """
    height, width = size_of(images)
    return seam_energy(images, range(BLOCK, height, BLOCK), range(BLOCK, width, BLOCK))
