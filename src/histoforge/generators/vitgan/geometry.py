"""Patch sizes that the unified ViT cGAN can draw."""

from histoforge.classifiers.backbones.registry import find_backbone
from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.vitgan.config import STAGES, VitganConfig

MIN_BASE = 2
"""Smallest side of the first map."""


def base_size(config: VitganConfig, patch_size: tuple[int, int], method: str) -> tuple[int, int]:
    """Return the rows and columns of the first map, which each stage doubles, for a patch size (height, width) in px.

    Raises:
        SettingsError: no map gives this size, or the discriminator cannot divide it; the message suggests nearby sizes.
    """
    entry = find_backbone(backbone(config, patch_size))
    multiple = max(2**STAGES, entry.size_multiple)
    smallest = max(MIN_BASE * 2**STAGES, entry.minimum_size)
    if any(side % multiple or side < smallest for side in patch_size):
        lower = tuple(max(side // multiple * multiple, smallest) for side in patch_size)
        upper = tuple(max(-(-side // multiple) * multiple, smallest) for side in patch_size)
        near = " or ".join(dict.fromkeys((dimensions(lower), dimensions(upper))))
        raise SettingsError(
            f"{method} with discriminator_step={config.discriminator_step} cannot make patches of "
            f"{dimensions(patch_size)} px, since both sides must be multiples of {multiple}, and at least {smallest}: "
            f"preprocess to {near} px."
        )
    return patch_size[0] >> STAGES, patch_size[1] >> STAGES


def check_size(config: VitganConfig, patch_size: tuple[int, int], method: str) -> None:
    """Check that the networks can draw a patch size, (height, width) in px.

    Raises:
        SettingsError: as in `base_size`.
    """
    base_size(config, patch_size, method)


def backbone(config: VitganConfig, patch_size: tuple[int, int]) -> str:
    """Return the name of the classifier's backbone."""
    divisible = all(side % 32 == 0 for side in patch_size)
    return f"multiscale_vit_{config.discriminator_step or (4 if divisible else 2)}"
