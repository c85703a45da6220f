"""Fit images of any size and resolution to the size and resolution of the real patches."""

from dataclasses import dataclass
from typing import Literal, Protocol

from histoforge.core.errors import SourceError
from histoforge.ingest.cutting import SAME_SCALE
from histoforge.ingest.pixels import resize
from histoforge.patches.images import Pixels

Fit = Literal["crop", "shrink"]


class HasScale(Protocol):
    """Real patches, whose size and resolution others get."""

    @property
    def patch_size(self) -> tuple[int, int]: ...

    @property
    def mpp(self) -> float | None: ...


@dataclass(frozen=True)
class Fitting:
    """How images become patches; one patch per image.

    With 'crop', an image is resized by `scale` if that differs from 1 by more than 2%, and the patch is its centre.
    With 'shrink', the patch is the largest centred part with the proportions of a patch, resized to a patch.

    Attributes:
        size: height and width of a patch, px.
        scale: pixels of a patch per pixel of an image: the resolution of the images divided by that of the patches.
        fit: the rule.
    """

    size: tuple[int, int]
    scale: float = 1.0
    fit: Fit = "crop"

    @property
    def keeps_pixels(self) -> bool:
        """True if an image of the size of a patch is taken as it is."""
        return self.fit == "shrink" or abs(self.scale - 1) <= SAME_SCALE

    def patch(self, image: Pixels, name: str) -> Pixels:
        """Return the patch of an image, uint8 [H, W, 3] of any size, which messages call `name`.

        Raises:
            SourceError: the image is smaller than a patch at the resolution of the real patches.
        """
        if self.keeps_pixels and image.shape[:2] == self.size:
            return image
        if self.fit == "shrink":
            return resize(_largest_centre(image, self.size), self.size)
        height, width = image.shape[:2]
        if abs(self.scale - 1) > SAME_SCALE:
            image = resize(image, (max(1, round(height * self.scale)), max(1, round(width * self.scale))))
        if image.shape[0] < self.size[0] or image.shape[1] < self.size[1]:
            raise SourceError(self._too_small(name, (height, width), image))
        return _centre(image, self.size)

    def _too_small(self, name: str, original: tuple[int, int], resized: Pixels) -> str:
        (h, w), (height, width) = self.size, original
        at = (
            f", which are {resized.shape[1]} x {resized.shape[0]} px at the resolution of the real patches"
            if resized.shape[:2] != original
            else ""
        )
        return (
            f"The image {name} has {width} x {height} px{at}, less than a patch of {w} x {h}: give larger images, "
            "correct source_mpp, or set fit=shrink to resize each image to a patch whatever its resolution."
        )


def plan_fitting(fit: Fit, mpp: float, real: HasScale, source: str) -> tuple[Fitting, list[str]]:
    """Return how images become patches like the real ones, and warnings about it.

    Args:
        fit: the rule.
        mpp: resolution of the images, um/px; 0 if unknown.
        real: the real patches.
        source: where the images come from, for messages.

    Raises:
        SourceError: the resolution of the images is needed and unknown.
    """
    if fit == "shrink":
        return Fitting(real.patch_size, fit="shrink"), [
            "The images are resized to patches whatever their resolution: tissue may appear larger or smaller than in "
            "the real patches."
        ]
    if real.mpp is None:
        unknown = "The resolution of the real patches is unknown, so the images are not resized to it."
        return Fitting(real.patch_size), [unknown] if mpp else []
    if not mpp:
        raise SourceError(
            f"The resolution of the images of {source} is unknown, and the real patches have {real.mpp:.3g} um/px: set "
            "source_mpp (or 'mpp' in origin.yaml), or fit=shrink to resize each image to a patch whatever its "
            "resolution."
        )
    coarse = f"The images have {mpp:.3g} um/px and are enlarged to the {real.mpp:.3g} um/px of the real patches."
    scale = mpp / real.mpp
    return Fitting(real.patch_size, scale), [coarse] if scale > 1 + SAME_SCALE else []


def _largest_centre(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Return the largest centred part of an image with the proportions of a patch, (height, width)."""
    ratio = min(image.shape[0] / size[0], image.shape[1] / size[1])
    return _centre(image, (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))))


def _centre(image: Pixels, size: tuple[int, int]) -> Pixels:
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]
