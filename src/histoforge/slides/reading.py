"""Open slides with OpenSlide and read their pixels as arrays."""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import openslide
from numpy.typing import NDArray
from openslide import lowlevel

from histoforge.core.errors import SlideError
from histoforge.core.timings import spent
from histoforge.slides.jpeg_tiles import VENDORS, JpegSlide
from histoforge.slides.names import slide_name
from histoforge.slides.ome import ome_mpp

Pixels = NDArray[np.uint8]
EXTENSIONS = (
    ".svs",
    ".tif",
    ".tiff",
    ".ndpi",
    ".vms",
    ".vmu",
    ".scn",
    ".mrxs",
    ".svslide",
    ".bif",
    ".czi",
    ".dcm",
)
MPP_BOUNDS = (0.02, 50.0)
IMAGE_DESCRIPTION = "tiff.ImageDescription"
CACHE_BYTES = 64 * 2**20
OPAQUE = 0xFF000000


class Box(NamedTuple):
    """A rectangle of a slide in level-0 px: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int


class Slide:
    """An open slide. Several threads can read it at once.

    Attributes:
        path: the file.
        name: name of the slide in `slides.csv` and in patch sets (see `slide_name`).
        size: width and height of level 0, px.
        level_sizes: width and height of each level, px, finest first.
        downsamples: level-0 px per pixel of each level; the first is 1.0.
        mpp: micrometres per level-0 pixel, as stated by the file or the user; None if neither states it.
        bounds: the part of level 0 that was scanned (all of it for most formats).
        background: colour of the area that was not scanned, RGB.
    """

    def __init__(self, path: Path, handle: openslide.OpenSlide, mpp: float | None) -> None:
        properties = handle.properties
        self.path, self.name, self._handle = path, slide_name(path), handle
        self.size: tuple[int, int] = handle.dimensions
        self.level_sizes: Sequence[tuple[int, int]] = handle.level_dimensions
        self.downsamples: Sequence[float] = handle.level_downsamples
        self.mpp = mpp if mpp is not None else _stated_mpp(properties)
        self.bounds = _bounds(properties, self.size)
        self.background = _background(properties)
        self._jpeg = _jpeg_slide(path, properties, self.level_sizes, self._read_through_openslide)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()
        if self._jpeg is not None:
            self._jpeg.close()

    def required_mpp(self) -> float:
        """Return the micrometres per level-0 pixel.

        Raises:
            SlideError: neither the file nor the user states it. It is never guessed from the objective's power.
        """
        if self.mpp is None:
            raise SlideError(
                f"The slide {self.path} does not state its resolution (mpp): give it in um/px with "
                f"'--slide-mpp' or '--set preprocess.slide_mpp=0.5'."
            )
        return self.mpp

    def thumbnail(self) -> Pixels | None:
        """Return the scanner's small picture of the same area, uint8 [h, w, 3], or None if there is none."""
        try:
            image = self._handle.associated_images.get("thumbnail")
        except openslide.OpenSlideError:
            return None
        if image is None or abs(image.width * self.size[1] / (image.height * self.size[0]) - 1) > 0.01:
            return None
        return np.asarray(image.convert("RGB"))

    def read(self, x: int, y: int, level: int, width: int, height: int) -> Pixels:
        """Read a rectangle of a level, uint8 [height, width, 3].

        Areas that the file does not contain have the background's colour. JPEG tiles are read without OpenSlide if that
        gives the same pixels.

        Args:
            x, y: upper left corner, level-0 px; may be outside the slide.
            level: the level to read.
            width, height: size of the rectangle, px of that level.

        Raises:
            SlideError: the file is damaged there.
        """
        downsample = self.downsamples[level]
        pixels = self._from_tiles(round(x / downsample), round(y / downsample), level, width, height)
        return self.read_with_openslide(x, y, level, width, height) if pixels is None else pixels

    def read_level(self, column: int, row: int, level: int, width: int, height: int) -> Pixels:
        """Read a rectangle like `read`, uint8 [height, width, 3], with the corner (column, row) in px of the level."""
        pixels = self._from_tiles(column, row, level, width, height)
        return self._read_through_openslide(level, (column, row, width, height)) if pixels is None else pixels

    def read_block(self, column: int, row: int, level: int, width: int, height: int) -> Pixels | None:
        """Read a rectangle of a level, if every part of it equals the result of `read_level` for that part alone.

        If the downsample is not a whole number, OpenSlide places the level's pixels relative to the requested corner,
        by a fraction of a pixel, and interpolates. In that case, and if the file omits a tile, no large rectangle has
        this property.

        Args:
            column, row: upper left corner, px of the level; may be outside the slide.
            level: the level to read.
            width, height: size of the rectangle, px of that level.

        Returns:
            uint8 [height, width, 3], or None if the parts must be read one by one.

        Raises:
            SlideError: the file is damaged there.
        """
        if self._jpeg is not None and self._jpeg.level(level) is not None:
            return self._from_tiles(column, row, level, width, height)
        if not float(self.downsamples[level]).is_integer():
            return None
        return self._read_through_openslide(level, (column, row, width, height))

    def _from_tiles(self, column: int, row: int, level: int, width: int, height: int) -> Pixels | None:
        """Read a rectangle of a level from its JPEG tiles, or return None if OpenSlide has to read it."""
        tiles = self._jpeg.level(level) if self._jpeg is not None else None
        if tiles is None:
            return None
        try:
            return tiles.read(column, row, width, height, self.background)
        except ValueError as error:
            downsample = self.downsamples[level]
            raise self._damaged(round(column * downsample), round(row * downsample), level, error) from error

    def read_with_openslide(self, x: int, y: int, level: int, width: int, height: int) -> Pixels:
        """Read a rectangle like `read`, uint8 [height, width, 3], but always through OpenSlide."""
        pixels = np.empty((height, width), np.uint32)
        pointer = pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))
        try:
            with spent("decode"):
                lowlevel._read_region(self._handle._osr, pointer, x, y, level, width, height)
        except openslide.OpenSlideError as error:
            raise self._damaged(x, y, level, error) from error
        bgra = pixels.view(np.uint8).reshape(height, width, 4)
        if pixels.min() < OPAQUE:
            _fill_background(self.background, bgra)
        return _to_rgb(bgra)

    def _read_through_openslide(self, level: int, box: tuple[int, int, int, int]) -> Pixels:
        downsample = self.downsamples[level]
        return self.read_with_openslide(round(box[0] * downsample), round(box[1] * downsample), level, *box[2:])

    def _damaged(self, x: int, y: int, level: int, error: Exception) -> SlideError:
        return SlideError(
            f"The slide {self.path} is damaged at x={x}, y={y} of level {level} ({error}): copy or scan it again."
        )


def open_slide(path: Path, mpp: float | None = None) -> Slide:
    """Open a slide.

    Args:
        path: a file in any format that OpenSlide reads.
        mpp: micrometres per level-0 pixel; overrides the file's value.

    Raises:
        SlideError: the file does not open, is truncated, or has an unknown format.
    """
    path = Path(path)
    if not path.is_file():
        raise SlideError(f"There is no slide {path}: name a file that exists.")
    try:
        handle = openslide.OpenSlide(path)
    except openslide.OpenSlideError as error:
        raise SlideError(
            f"The slide {path} does not open ({_lower(error)}): it is damaged, truncated, or in a format that "
            "OpenSlide does not read, so copy it again or remove it."
        ) from error
    handle.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
    try:
        return Slide(path, handle, mpp)
    except (openslide.OpenSlideError, ValueError, ArithmeticError, LookupError) as error:
        handle.close()
        raise SlideError(f"The slide {path} is damaged ({_lower(error)}): copy or scan it again.") from error


def _jpeg_slide(
    path: Path,
    properties: Mapping[str, str],
    level_sizes: Sequence[tuple[int, int]],
    read_through_openslide: Callable[[int, tuple[int, int, int, int]], Pixels],
) -> JpegSlide | None:
    if properties.get(openslide.PROPERTY_NAME_VENDOR) not in VENDORS:
        return None
    try:
        return JpegSlide(path, level_sizes, read_through_openslide)
    except Exception:  # damaged tags make tifffile raise almost anything, and OpenSlide reads the slide as well
        return None


def _to_rgb(bgra: Pixels) -> Pixels:
    """Convert uint8 [h, w, 4] in the order blue, green, red, alpha to RGB, uint8 [h, w, 3].

    Copying channel by channel is five times as fast as a reversed slice.
    """
    rgb = np.empty((*bgra.shape[:2], 3), np.uint8)
    for channel in range(3):
        rgb[..., channel] = bgra[..., 2 - channel]
    return rgb


def _fill_background(background: tuple[int, int, int], bgra: Pixels) -> None:
    """Fill the transparent part of premultiplied pixels with the background, in place."""
    missing = 255 - bgra[..., 3].astype(np.uint16)
    for channel in range(3):
        filled = bgra[..., channel] + (missing * background[2 - channel] + 127) // 255
        bgra[..., channel] = np.minimum(filled, 255)
    bgra[..., 3] = 255


def _stated_mpp(properties: Mapping[str, str]) -> float | None:
    """Return the mean of the two stated resolutions, which OpenSlide reads from the resolution tags of a plain TIFF.

    The physical size in an OME-TIFF's description takes precedence, because such a file's tags often describe a screen.
    """
    stated = [ome_mpp(properties.get(IMAGE_DESCRIPTION, ""))]
    try:
        x = float(properties[openslide.PROPERTY_NAME_MPP_X])
        y = float(properties[openslide.PROPERTY_NAME_MPP_Y])
        stated.append((x + y) / 2)
    except (KeyError, ValueError):
        pass
    sensible = (mpp for mpp in stated if mpp is not None and MPP_BOUNDS[0] <= mpp <= MPP_BOUNDS[1])
    return next(sensible, None)


def _bounds(properties: Mapping[str, str], size: tuple[int, int]) -> Box:
    x = int(properties.get(openslide.PROPERTY_NAME_BOUNDS_X, 0))
    y = int(properties.get(openslide.PROPERTY_NAME_BOUNDS_Y, 0))
    width = int(properties.get(openslide.PROPERTY_NAME_BOUNDS_WIDTH, size[0] - x))
    height = int(properties.get(openslide.PROPERTY_NAME_BOUNDS_HEIGHT, size[1] - y))
    return Box(x, y, min(width, size[0] - x), min(height, size[1] - y))


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    colour = properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "FFFFFF").lstrip("#")
    red, green, blue = bytes.fromhex(colour)
    return red, green, blue


def _lower(error: Exception) -> str:
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:]
