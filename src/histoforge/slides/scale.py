"""Conversion of a patch size and a resolution to the level and the window to read."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from histoforge.core.errors import SlideError
from histoforge.slides.reading import Pixels, Slide

SAME_MPP = 0.02
MAX_ENLARGEMENT = 1.25
STRIP_PX = 6_000_000


@dataclass(frozen=True)
class Scale:
    """The scale at which patches are read from one slide.

    Attributes:
        patch_size: height and width of a patch, px.
        level: the level to read.
        downsample: level-0 px per pixel of that level.
        window: height and width of the area that becomes a patch, px of that level; whole numbers without resizing.
        mpp: micrometres per pixel of the patches; None if the slide does not state it and a level was requested.
    """

    patch_size: tuple[int, int]
    level: int
    downsample: float
    window: tuple[float, float]
    mpp: float | None

    @property
    def footprint(self) -> tuple[float, float]:
        """Height and width of a patch on the slide, level-0 px."""
        return self.window[0] * self.downsample, self.window[1] * self.downsample

    @property
    def resizes(self) -> bool:
        """True if pixels are resampled."""
        return self.window != self.patch_size


def patch_scale(slide: Slide, patch_size: tuple[int, int], mpp: float | None = None, level: int | None = None) -> Scale:
    """Return the scale at which patches of a size are read.

    With `mpp`, the coarsest level that is not coarser is read and averaged over areas down to the patch size; a level
    within 2% of `mpp` is used without resizing. With `level`, nothing is ever resized. The default is level 0.

    Args:
        patch_size: height and width, px.
        mpp: micrometres per pixel of the patches.
        level: a level of the slide, instead of `mpp`.

    Raises:
        SlideError: the slide states no mpp, is much coarser than `mpp`, or lacks the level.
    """
    if mpp is not None and level is not None:
        raise ValueError("give mpp or level, not both")
    if mpp is None:
        return _at_level(slide, patch_size, level or 0)
    slide_mpp = slide.required_mpp()
    if slide_mpp > mpp * MAX_ENLARGEMENT:
        raise SlideError(
            f"The slide {slide.path} has {slide_mpp:.3g} um/px, too coarse for patches of {mpp:.3g} um/px: "
            "choose a larger mpp, or exclude the slide."
        )
    fine = [i for i, downsample in enumerate(slide.downsamples) if slide_mpp * downsample <= mpp * (1 + SAME_MPP)]
    best = max(fine, key=lambda i: slide.downsamples[i], default=0)
    level_mpp = slide_mpp * slide.downsamples[best]
    ratio = mpp / level_mpp
    if abs(ratio - 1) <= SAME_MPP:
        return Scale(patch_size, best, slide.downsamples[best], patch_size, level_mpp)
    window = (patch_size[0] * ratio, patch_size[1] * ratio)
    return Scale(patch_size, best, slide.downsamples[best], window, mpp)


def _at_level(slide: Slide, patch_size: tuple[int, int], level: int) -> Scale:
    if not 0 <= level < len(slide.downsamples):
        raise SlideError(
            f"The slide {slide.path} has no level {level}: it has levels 0 to {len(slide.downsamples) - 1}, "
            "so choose one of them, or set mpp instead."
        )
    downsample = slide.downsamples[level]
    mpp = None if slide.mpp is None else slide.mpp * downsample
    return Scale(patch_size, level, downsample, patch_size, mpp)


def cut_patch(pixels: Pixels, column: int, row: int, scale: Scale) -> Pixels:
    """Cut a patch, uint8 [h, w, 3], from a window that starts at (column, row) of level pixels, uint8 [H, W, 3].

    Only pixels that the window touches are used, so that a patch does not depend on the pixels around it.
    """
    height, width = scale.window
    right, bottom = (math.ceil(side - 1e-6) for side in (column + width, row + height))
    touched = np.ascontiguousarray(pixels[row:bottom, column:right])
    if not scale.resizes:
        return touched
    box = (0.0, 0.0, min(width, touched.shape[1]), min(height, touched.shape[0]))
    method = Image.Resampling.BOX if height >= scale.patch_size[0] else Image.Resampling.BICUBIC
    size = (scale.patch_size[1], scale.patch_size[0])
    return np.asarray(Image.fromarray(touched).resize(size, method, box))


def read_patch(slide: Slide, scale: Scale, x: int, y: int) -> Pixels:
    """Read one patch with its upper left corner at level-0 (x, y), uint8 [h, w, 3].

    It starts at the whole pixel of the level that is nearest to (x, y). Its pixels are the same when it is read
    together with other patches.
    """
    height, width = (math.ceil(side - 1e-6) for side in scale.window)
    column, row = round(x / scale.downsample), round(y / scale.downsample)
    return cut_patch(slide.read_level(column, row, scale.level, width, height), 0, 0, scale)


def read_overview(slide: Slide, size: tuple[int, int]) -> Pixels:
    """Shrink the whole scanned area to fit `size` (height, width), padded with the background, uint8 [h, w, 3]."""
    height, width = size
    shrink = max(slide.bounds.width / width, slide.bounds.height / height)
    image = read_downsampled(slide, shrink)
    small = Image.fromarray(image)
    small.thumbnail((width, height))
    canvas = Image.new("RGB", (width, height), slide.background)
    canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return np.asarray(canvas)


def read_downsampled(slide: Slide, downsample: float) -> Pixels:
    """Return the scanned area at `downsample` level-0 px per pixel, uint8 [h, w, 3].

    It is read in strips from the coarsest level that is fine enough, or from the scanner's thumbnail, so that memory
    does not grow with the slide.
    """
    bounds = slide.bounds
    width, height = (max(1, round(side / downsample)) for side in (bounds.width, bounds.height))
    level = max(
        (i for i, factor in enumerate(slide.downsamples) if factor <= downsample * (1 + SAME_MPP)),
        key=lambda i: slide.downsamples[i],
        default=0,
    )
    picture = slide.thumbnail() if downsample > 2 * slide.downsamples[level] else None
    if picture is not None and picture.shape[1] * 2 >= width and bounds[2:] == slide.size:
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
    return _in_strips(slide, level, width, height)


def _in_strips(slide: Slide, level: int, width: int, height: int) -> Pixels:
    """Average the level's pixels of the scanned area over areas to width x height."""
    bounds, downsample = slide.bounds, slide.downsamples[level]
    across, down = bounds.width / downsample / width, bounds.height / downsample / height
    image = np.empty((height, width, 3), np.uint8)
    rows = max(1, int(STRIP_PX / max(1.0, bounds.width / downsample * down)))
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        y0, y1 = int(top * down), int(np.ceil(bottom * down))
        strip = slide.read(bounds.x, bounds.y + round(y0 * downsample), level, int(np.ceil(width * across)), y1 - y0)
        box = (0.0, top * down - y0, min(width * across, strip.shape[1]), min(bottom * down - y0, strip.shape[0]))
        image[top:bottom] = np.asarray(Image.fromarray(strip).resize((width, bottom - top), Image.Resampling.BOX, box))
    return image
