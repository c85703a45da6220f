"""Patch sizes that VQGAN can draw; imports nothing heavy."""

from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.sizes import nearest_multiples
from histoforge.generators.vqgan.config import VqganConfig

SMALLEST_MAP = 3
"""Smallest side that the discriminator's last two convolutions can take."""


def check_size(config: VqganConfig, patch_size: tuple[int, int], method: str = "vqgan") -> None:
    """Check that a patch size, (height, width) in px, has whole numbers of codes and is not too small to be judged.

    Raises:
        SettingsError: it has not, or it is; the message suggests other sizes.
    """
    if any(side % config.factor for side in patch_size):
        raise SettingsError(
            f"{method} with downsamplings={config.downsamplings} cannot make patches of {dimensions(patch_size)} px, "
            f"since both sides must be multiples of {config.factor}: preprocess to "
            f"{nearest_multiples(patch_size, config.factor)} px, or choose fewer downsamplings."
        )
    smallest = SMALLEST_MAP << config.discriminator_layers
    if min(patch_size) < smallest:
        raise SettingsError(
            f"{method} with discriminator_layers={config.discriminator_layers} cannot make patches of "
            f"{dimensions(patch_size)} px, since both sides must be at least {smallest}: preprocess to larger patches, "
            "or choose fewer layers."
        )


def code_grid(config: VqganConfig, patch_size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of a patch's codes."""
    return patch_size[0] // config.factor, patch_size[1] // config.factor
