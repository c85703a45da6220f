"""Patch sizes that DCGAN's networks can draw."""

from histoforge.core.errors import SettingsError
from histoforge.generators.dcgan.config import GanConfig

BASE = 4
"""The shorter side of the smallest map, px, is at least this and less than twice this (4x4 for 64 px, as published);
patches of less than 16 px have smaller maps.
"""
MIN_DOUBLINGS = 2


def doublings(patch_size: tuple[int, int], method: str) -> int:
    """Return how often the smallest map is doubled to reach the patch size, (height, width) in px: 4 times for 64x64.

    Raises:
        SettingsError: doubling a whole map does not give the patch size; the message suggests nearby sizes.
    """
    steps = max((min(patch_size) // BASE).bit_length() - 1, MIN_DOUBLINGS)
    if any(side % 2**steps for side in patch_size):
        factor = 2**steps
        lower, upper = (
            "x".join(str(max(side // factor + more, BASE) * factor) for side in patch_size) for more in (0, 1)
        )
        raise SettingsError(
            f"{method} cannot make patches of {patch_size[0]}x{patch_size[1]} px, since both sides must be multiples "
            f"of {factor}: preprocess to {lower} or {upper} px."
        )
    return steps


def check_size(config: GanConfig, patch_size: tuple[int, int], method: str) -> None:
    """Check that the networks can draw a patch size, (height, width) in px.

    Raises:
        SettingsError: as in `doublings`.
    """
    doublings(patch_size, method)
