"""Tissue detection: saturation, median, Otsu, closing, removal of small holes and specks.

This is CLAM's method (Lu et al. 2021, "WSI processing"), with additions that keep it from detecting tissue in empty
glass (bounds on the threshold) and in pen marks (ink has colours that haematoxylin and eosin cannot have).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters, morphology

from histoforge.slides.reading import Pixels, Slide
from histoforge.slides.scale import read_downsampled

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

MAX_PX = 2048
MIN_PX = 1000
PREFERRED_DOWNSAMPLE = 16.0
MIN_DOWNSAMPLE = 4.0
SATURATION_BOUNDS = (0.06, 0.14)
MEDIAN_PX = 5
CLOSING_PX = 9
MIN_SPECK_PX = 128
MIN_HOLE_PX = 256
MIN_BRIGHTNESS = 0.2
INK_MARGIN = 3


@dataclass(frozen=True)
class Tissue:
    """The tissue of a slide.

    Attributes:
        mask: bool [h, w], over the slide's scanned area.
        downsample: level-0 px per pixel of the mask, across and down.
        origin: level-0 px of the mask's upper left corner, x and y.
        image: the low-power picture from which it was computed, uint8 [h, w, 3].
    """

    mask: Mask
    downsample: tuple[float, float]
    origin: tuple[int, int]
    image: Pixels

    @property
    def share(self) -> float:
        """Tissue as a fraction of the scanned area, in [0, 1]."""
        return float(self.mask.mean())

    @cached_property
    def _summed(self) -> NDArray[np.int64]:
        return np.pad(self.mask.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))

    def fractions(
        self, x: NDArray[np.int64], y: NDArray[np.int64], footprint: tuple[float, float]
    ) -> NDArray[np.float64]:
        """Return the fraction of tissue in each of n rectangles, float64 [n] in [0, 1].

        Args:
            x, y: upper left corners, level-0 px, [n].
            footprint: height and width, level-0 px.
        """
        height, width = self.mask.shape
        left = (x - self.origin[0]) / self.downsample[0]
        top = (y - self.origin[1]) / self.downsample[1]
        x0, y0 = np.floor(left).astype(int), np.floor(top).astype(int)
        x1 = np.maximum(np.round(left + footprint[1] / self.downsample[0]).astype(int), x0 + 1)
        y1 = np.maximum(np.round(top + footprint[0] / self.downsample[1]).astype(int), y0 + 1)
        area = (x1 - x0) * (y1 - y0)
        x0, x1 = np.clip(x0, 0, width), np.clip(x1, 0, width)
        y0, y1 = np.clip(y0, 0, height), np.clip(y1, 0, height)
        summed = self._summed
        inside = summed[y1, x1] - summed[y0, x1] - summed[y1, x0] + summed[y0, x0]
        return inside / area


def find_tissue(slide: Slide) -> Tissue:
    """Find a slide's tissue on a picture of 1000 to 2048 px (fewer for small slides), regardless of the slide's size.

    Raises:
        SlideError: the slide is damaged in the area that is read.
    """
    bounds = slide.bounds
    longest = max(bounds.width, bounds.height)
    preferred = min(PREFERRED_DOWNSAMPLE, longest / MIN_PX)
    image = read_downsampled(slide, max(MIN_DOWNSAMPLE, longest / MAX_PX, preferred))
    height, width = image.shape[:2]
    return Tissue(tissue_mask(image), (bounds.width / width, bounds.height / height), (bounds.x, bounds.y), image)


def tissue_mask(image: Pixels) -> Mask:
    """Return the tissue mask of a low-power picture, uint8 [h, w, 3], as bool [h, w]; all False on a blank slide.

    The median is applied after the threshold, as a vote of each pixel's neighbours: the result is the same, but faster.
    """
    red, green, blue = (np.ascontiguousarray(image[..., channel]) for channel in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    saturation = ((high - low) * np.uint16(255) // np.maximum(high, 1)).astype(np.uint8)
    threshold = 255 * np.clip(_otsu(saturation) / 255, *SATURATION_BOUNDS)
    coloured = (saturation > threshold) & (high > 255 * MIN_BRIGHTNESS)
    mask = ndimage.uniform_filter(coloured.astype(np.float32), MEDIAN_PX, mode="nearest") > 0.5
    mask &= ~ink_mask(red, green, blue)
    mask = ndimage.maximum_filter(mask, CLOSING_PX, mode="constant")
    mask = ndimage.minimum_filter(mask, CLOSING_PX, mode="nearest")
    mask = morphology.remove_small_objects(mask, max_size=MIN_SPECK_PX)
    return morphology.remove_small_holes(mask, max_size=MIN_HOLE_PX)


def ink_mask(red: Grey, green: Grey, blue: Grey) -> Mask:
    """Return the mask of pen marks, bool [h, w], on a low-power picture, given as three planes, uint8 [h, w].

    Haematoxylin and eosin both absorb green most, so that no mixture of them is greener than it is red (Ruifrok and
    Johnston 2001, table 1), unlike green and light blue ink. Deep blue ink is bluer than any nucleus, red ink absorbs
    blue as well as green, and black ink absorbs everything.
    """
    r, g, b = (plane.astype(np.int16) for plane in (red, green, blue))
    ink = (g - r > 20) | ((b - r > 80) & (b - g > 60)) | ((r - g > 90) & (b - g < 12))
    ink |= np.maximum(np.maximum(red, green), blue) < 255 * MIN_BRIGHTNESS
    ink = morphology.remove_small_objects(ink, max_size=MIN_SPECK_PX // 4)
    return ndimage.maximum_filter(ink, 2 * INK_MARGIN + 1) if ink.any() else ink


def _otsu(grey: Grey) -> float:
    return float(filters.threshold_otsu(grey)) if grey.min() < grey.max() else 255.0
