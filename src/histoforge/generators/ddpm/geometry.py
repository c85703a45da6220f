"""Patch sizes that the diffusion model can draw; imports nothing heavy."""

import math

from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.ddpm.config import DdpmConfig


def check_size(config: DdpmConfig, patch_size: tuple[int, int], method: str = "ddpm") -> None:
    """Check that a patch size, (height, width) in px, can be halved for each level.

    Raises:
        SettingsError: it cannot; the message suggests nearby sizes.
    """
    factor = 2 ** (config.levels - 1)
    if any(side % factor for side in patch_size):
        lower, upper = ([max(f(side / factor), 1) * factor for side in patch_size] for f in (math.floor, math.ceil))
        near = " or ".join(dict.fromkeys(dimensions(size) for size in (lower, upper)))
        raise SettingsError(
            f"{method} with levels={config.levels} cannot make patches of {patch_size[0]}x{patch_size[1]} px, since "
            f"both sides must be multiples of {factor}: preprocess to {near} px, or choose fewer levels."
        )
