"""Patch sizes that PathUp can draw; imports nothing heavy."""

from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.pathup.config import PathupConfig
from histoforge.generators.sizes import nearest_multiples


def check_size(config: PathupConfig, patch_size: tuple[int, int], method: str = "pathup", factor: int = 1) -> None:
    """Check that the latents of a patch size, (height, width) in px, can be halved for each level of the U-Net.

    Args:
        config: the settings.
        patch_size: height and width, px.
        method: name of the method in the message.
        factor: pixels per side of one latent.

    Raises:
        SettingsError: they cannot; the message suggests nearby sizes.
    """
    multiple = factor * 2 ** (config.levels - 1)
    if any(side % multiple for side in patch_size):
        latents = f" and latents of {factor} px" if factor > 1 else ""
        raise SettingsError(
            f"{method} with levels={config.levels}{latents} cannot make patches of "
            f"{dimensions(patch_size)} px, since both sides must be multiples of {multiple}: preprocess to "
            f"{nearest_multiples(patch_size, multiple)} px, or choose fewer levels."
        )
