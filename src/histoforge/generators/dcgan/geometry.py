"""Which patch sizes DCGAN's networks can make."""

from histoforge.core.errors import SettingsError
from histoforge.generators.dcgan.config import GanConfig

BASE = 4
"""The shorter side of the smallest map, px, is this or more and less than its double (4x4 for 64 px, as published);
patches of less than 16 px have smaller ones."""
FEWEST_DOUBLINGS = 2


def doublings(patch_size: tuple[int, int], method: str) -> int:
    """How often the smallest map is doubled to get a patch, (height, width) in px: 4 times for 64x64.

    Raises:
        SettingsError: no whole map becomes the patch so; the sentence names sizes near by that are made.
    """
    steps = max((min(patch_size) // BASE).bit_length() - 1, FEWEST_DOUBLINGS)
    if any(side % 2**steps for side in patch_size):
        factor = 2**steps
        lower, upper = (
            "x".join(str(max(side // factor + more, BASE) * factor) for side in patch_size) for more in (0, 1)
        )
        raise SettingsError(
            f"{method} cannot make patches of {patch_size[0]}x{patch_size[1]} px, since both sides must be multiples "
            f"of {factor}: preprocess to {lower} or {upper} px (64x64 is the published size)."
        )
    return steps


def check_size(config: GanConfig, patch_size: tuple[int, int], method: str) -> None:
    """Refuse a patch size, (height, width) in px, that the networks cannot make.

    Raises:
        SettingsError: as `doublings`.
    """
    doublings(patch_size, method)
