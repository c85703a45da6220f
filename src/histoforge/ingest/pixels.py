"""Read an image file of any kind as RGB, and cut it into patches."""

import struct
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from histoforge.core.errors import SourceError
from histoforge.patches.images import Pixels

MAX_PIXELS = 400_000_000
DAMAGES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""Exceptions that Pillow and tifffile raise for damaged files, whose tags may contain anything."""
MAX_BYTES = 8 * MAX_PIXELS
WHITE = (255, 255, 255)
PLAIN_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
COLOURLESS = 20
GLASS_VALUE = 215


def read_rgb(path: Path, name: str) -> Pixels:
    """Read an image file as uint8 [H, W, 3].

    16-bit samples are scaled from [0, 65535] to [0, 255], and floats from [0, 1]. Grey becomes three equal channels,
    palettes are looked up, transparent areas become white like glass, and a stored rotation is undone.

    Args:
        name: the name by which the user knows the file.

    Raises:
        SourceError: it is not an image, is truncated, is too large, or has samples of an unknown type.
    """
    if (plain := _plain_png(path)) is not None:
        return plain
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(name, image.width, image.height)
                image.load()
                return _to_rgb(ImageOps.exif_transpose(image), name)
    except UnidentifiedImageError:
        return _from_tiff(path, name)
    except Image.DecompressionBombError:
        raise SourceError(
            f"The image {name} is too large to be read as an image: give it as a slide (kind=slides)."
        ) from None
    except DAMAGES as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"The image {name} cannot be read ({reason}): it is damaged or cut short.") from error


def resize(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize an image, uint8 [H, W, 3], to (height, width), by averaging over areas or by bicubic enlargement."""
    height, width = size
    if image.shape[:2] == size:
        return image
    method = Image.Resampling.BOX if height <= image.shape[0] else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((width, height), method))


def letterboxed(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Shrink an image to fit (height, width), keep its aspect ratio and pad it with white; uint8 [h, w, 3]."""
    ratio = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, round(side * ratio)) for side in image.shape[:2])
    small = resize(image, (height, width))
    canvas = np.full((*size, 3), WHITE, np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = small
    return canvas


def padded(image: Pixels, size: tuple[int, int]) -> tuple[Pixels, int, int]:
    """Pad an image, uint8 [H, W, 3], with its background to at least (height, width).

    Returns:
        The image, itself if it is large enough, and the rows and columns added above and to the left of it.
    """
    height, width = (max(sides) for sides in zip(image.shape[:2], size, strict=True))
    if (height, width) == image.shape[:2]:
        return image, 0, 0
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = background_colour(image)
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas, top, left


def background_colour(image: Pixels) -> NDArray[np.uint8]:
    """Return the median colour of the empty glass in an image, uint8 [3]; white if it shows none."""
    glass = image[_is_glass(image)]
    return np.median(glass, axis=0).astype(np.uint8) if len(glass) else np.array(WHITE, np.uint8)


def grid(length: int, side: int, step: int) -> NDArray[np.int64]:
    """Return the starts of as many windows as fit along a length, with equal margins at both ends, px."""
    count = (length - side) // step + 1
    margin = (length - side - (count - 1) * step) // 2
    return margin + step * np.arange(count, dtype=np.int64)


def tissue_share(patches: Pixels) -> NDArray[np.float64]:
    """Return the share of each patch, uint8 [n, h, w, 3], that is not empty glass; float64 [n] in [0, 1].

    Glass is bright and colourless. The bounds are fixed, because Otsu's method fails on an image that contains only
    tissue and no glass.
    """
    return 1 - _is_glass(patches).mean(axis=(1, 2))


def _is_glass(pixels: Pixels) -> NDArray[np.bool_]:
    """Return a mask of the pixels, uint8 [..., 3], that show empty glass, bool [...]."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return (high > GLASS_VALUE) & (high - low <= high // COLOURLESS)


def _plain_png(path: Path) -> Pixels | None:
    """Return the pixels of a PNG of three 8-bit channels; None for other files and damaged ones, which Pillow explains.

    imagecodecs decodes it in two thirds of Pillow's time, and without the interpreter's lock, so that threads help.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(26)
            if not head.startswith(PLAIN_PNG) or head[24:] != b"\x08\x02":  # 8 bits, RGB
                return None
            width, height = struct.unpack(">II", head[16:24])
            if width * height > MAX_PIXELS:
                return None
            content = head + file.read()
        if b"tRNS" in content or b"eXIf" in content:  # transparency and rotation
            return None
        return np.asarray(imagecodecs.png_decode(content))
    except (imagecodecs.PngError, *DAMAGES):
        return None


def _to_rgb(image: Image.Image, name: str) -> Pixels:
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _from_samples(np.asarray(image), name)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (*WHITE, 255))
        return np.asarray(Image.alpha_composite(white, layered).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _from_tiff(path: Path, name: str) -> Pixels:
    """Read a TIFF of a kind that Pillow does not read, such as 16-bit RGB."""
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            height, width = page.shape[:2]
            if height * width > MAX_PIXELS or page.nbytes > MAX_BYTES:
                raise _too_large(name, width, height)
            samples = page.asarray()
            planes_first = samples.ndim == 3 and samples.shape[0] in (3, 4) and samples.shape[2] not in (3, 4)
            return _from_samples(np.moveaxis(samples, 0, 2) if planes_first else samples, name)
    except (tifffile.TiffFileError, *DAMAGES) as error:
        raise SourceError(
            f"The image {name} cannot be read: it is not an image, or is damaged, so leave it out."
        ) from error


def _from_samples(samples: NDArray[np.generic], name: str) -> Pixels:
    """Convert samples [H, W] or [H, W, 1, 3 or 4] of any common type to uint8 [H, W, 3]."""
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    if samples.ndim not in (2, 3) or (samples.ndim == 3 and samples.shape[2] not in (3, 4)):
        raise SourceError(
            f"The image {name} has the shape {samples.shape}, which is neither grey nor RGB: convert it first."
        )
    unit = _to_unit(samples, name)
    if unit.ndim == 2:
        unit = np.repeat(unit[..., None], 3, axis=2)
    if unit.shape[2] == 4:
        unit = unit[..., :3] * unit[..., 3:] + (1 - unit[..., 3:])
    return np.round(unit * 255).astype(np.uint8)


def _to_unit(samples: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    values = samples.astype(np.float32)
    if samples.dtype == np.uint8:
        return values / np.float32(255)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if np.issubdtype(samples.dtype, np.floating):
        if not (np.isfinite(values).all() and low >= 0 and high <= 1):
            raise SourceError(f"The image {name} has float samples outside 0 to 1: save it with 8 or 16 bits.")
        return values
    if low < 0 or high > 65535:
        raise SourceError(f"The image {name} has samples outside 0 to 65535: save it with 8 or 16 bits.")
    return values / np.float32(65535)


def _too_large(name: str, width: int, height: int) -> SourceError:
    return SourceError(
        f"The image {name} has {width} x {height} px, too many to be read as an image: give it as a slide "
        "(kind=slides)."
    )
