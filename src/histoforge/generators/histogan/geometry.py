"""Sizes of HistoGAN's stages for a patch size."""

from dataclasses import dataclass

from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.histogan.config import HistoganConfig

MAX_STAGES = 4


@dataclass(frozen=True)
class Geometry:
    """The sizes of maps and images, height by width, px.

    Deviation A4-4: the paper does not give the size of the embedded vector. Four up-blocks fit both data sets: 3x3 to
    48x48 to 96x96 for PCam, 4x2 to 64x32 to 128x64 to 256x128 for the cervical patches.

    Attributes:
        base: size of the map in which the noise and the label are embedded.
        up_blocks: number of doublings in the first stage.
        sizes: image size of each stage; the last one is the patch size.
    """

    base: tuple[int, int]
    up_blocks: int
    sizes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, config: HistoganConfig, patch_size: tuple[int, int]) -> "Geometry":
        """Compute the geometry for a patch size (height, width).

        With `stages` 0 there are as many stages, at most four, as leave a base map of at least 2x3.

        Raises:
            SettingsError: no geometry fits; the message suggests nearby sizes.
        """
        stages = config.stages or _stages(config.up_blocks, patch_size)
        factor = 2 ** (config.up_blocks + stages - 1)
        height, width = patch_size
        if height % factor or width % factor:
            raise SettingsError(
                f"HistoGAN with stages={stages} and up_blocks={config.up_blocks} cannot make patches of "
                f"{height}x{width} px, since both sides must be multiples of {factor}: preprocess to "
                f"{_near(patch_size, factor)} px, or choose fewer stages or up_blocks."
            )
        sizes = tuple((height >> later, width >> later) for later in reversed(range(stages)))
        return cls((height // factor, width // factor), config.up_blocks, sizes)

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.sizes)


def _stages(up_blocks: int, patch_size: tuple[int, int]) -> int:
    for stages in range(MAX_STAGES, 1, -1):
        factor = 2 ** (up_blocks + stages - 1)
        base = [side // factor for side in patch_size]
        if not any(side % factor for side in patch_size) and min(base) >= 2 and max(base) >= 3:
            return stages
    return 1


def _near(patch_size: tuple[int, int], factor: int) -> str:
    lower = [max(side // factor, 1) * factor for side in patch_size]
    upper = [-(-side // factor) * factor for side in patch_size]
    return " or ".join(dict.fromkeys(dimensions(size) for size in (lower, upper)))


def check_size(config: HistoganConfig, patch_size: tuple[int, int], method: str = "histogan") -> None:
    """Check that the stages can draw a patch size, (height, width) in px; `method` is always HistoGAN.

    Raises:
        SettingsError: as in `Geometry.of`.
    """
    Geometry.of(config, patch_size)
