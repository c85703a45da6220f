"""Patch sizes that the diffusion model can draw; imports nothing heavy."""

from histoforge.core.errors import SettingsError
from histoforge.generators.ddpm.config import DdpmConfig
from histoforge.generators.sizes import nearest_multiples


def check_size(config: DdpmConfig, patch_size: tuple[int, int], method: str = "ddpm") -> None:
    """Check that a patch size, (height, width) in px, can be halved for each level.

    Raises:
        SettingsError: it cannot; the message suggests nearby sizes.
    """
    factor = 2 ** (config.levels - 1)
    if any(side % factor for side in patch_size):
        raise SettingsError(
            f"{method} with levels={config.levels} cannot make patches of {patch_size[0]}x{patch_size[1]} px, since "
            f"both sides must be multiples of {factor}: preprocess to "
            f"{nearest_multiples(patch_size, factor)} px, or choose fewer levels."
        )
