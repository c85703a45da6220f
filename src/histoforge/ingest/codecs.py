"""The codec of an image file or a slide and, for JPEG, an estimate of its quality.

Distances between real and synthetic patches react to compression, so both are recorded with every imported patch, and
with every source of real ones.
"""

from collections import Counter
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from histoforge.ingest.pixels import DAMAGES

UNKNOWN = "unknown"
PNG = b"\x89PNG\r\n\x1a\n"
TILE_HEAD = 1 << 16
"""Bytes of a tile that are read for its quantisation tables, which come first."""
LUMINANCE = np.array(
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
        14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
        49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ]
)  # fmt: skip
"""Luminance quantisation at quality 50, row by row (ITU-T T.81, table K.1)."""


class Codec(NamedTuple):
    """How a picture was stored.

    Attributes:
        name: Pillow's name of an image's format, such as 'PNG' or 'JPEG', or the compression of a slide, such as
            'JPEG', 'JPEG2000' or 'LZW'; 'unknown' if it cannot be read.
        quality: estimated JPEG quality in [1, 100]; NaN for other formats.
    """

    name: str
    quality: float = float("nan")


def read_codec(path: Path) -> Codec:
    """Return the codec of an image file, from its header alone; damaged files have an unknown one."""
    try:
        with open(path, "rb") as file:
            if file.read(len(PNG)) == PNG:  # by far the most frequent, and Pillow would parse the whole header
                return Codec("PNG")
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None)
            return Codec(image.format or UNKNOWN, jpeg_quality(tables[0]) if tables else float("nan"))
    except (UnidentifiedImageError, KeyError, *DAMAGES):
        return Codec(UNKNOWN)


def slide_codec(path: Path, size: tuple[int, int]) -> Codec:
    """Return the codec of one level of a slide, from its tags and the head of a tile.

    Args:
        path: the slide; files that are not TIFF have an unknown codec.
        size: width and height of the level, px.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = (page for page in tiff.pages if isinstance(page, tifffile.TiffPage))
            page = next(page for page in pages if (page.imagewidth, page.imagelength) == size)
            if page.compression != tifffile.COMPRESSION.JPEG:
                name = tifffile.COMPRESSION(page.compression).name
                return Codec("JPEG2000" if "2000" in name else name)
            largest = int(np.argmax(page.databytecounts))
            tiff.filehandle.seek(page.dataoffsets[largest])
            return Codec("JPEG", _tile_quality(page.jpegtables, tiff.filehandle.read(TILE_HEAD)))
    except Exception:  # damaged tags make tifffile raise almost anything, and only the record depends on them
        return Codec(UNKNOWN)


def _tile_quality(tables: bytes | None, tile: bytes) -> float:
    """Return the quality of a JPEG tile whose tables are in it or, without the end marker, precede its contents."""
    try:
        with Image.open(BytesIO(tables[:-2] + tile[2:] if tables else tile)) as image:
            return jpeg_quality(image.quantization[0])  # type: ignore[attr-defined]  # of a JPEG
    except (UnidentifiedImageError, AttributeError, KeyError, *DAMAGES):
        return float("nan")


def codec_counts(codecs: Iterable[Codec]) -> dict[str, Any]:
    """Return the number of files of each codec as 'codecs', and the median JPEG quality, or None, as 'jpeg_quality'."""
    codecs = list(codecs)
    qualities = [codec.quality for codec in codecs if codec.quality == codec.quality]
    names = sorted(codec.name for codec in codecs)
    return {"codecs": dict(Counter(names)), "jpeg_quality": float(np.median(qualities)) if qualities else None}


def jpeg_quality(luminance: list[int]) -> float:
    """Return the quality in [1, 100] whose scaled standard table is nearest to a luminance table of 64 numbers.

    The scaling is that of libjpeg (`jpeg_quality_scaling`), which most encoders share; for tables of another kind the
    result is the standard quality with the most similar quantisation.
    """
    differences = np.abs(_TABLES - np.asarray(luminance)).sum(1)
    return float(np.argmin(differences) + 1)


def _standard_tables() -> NDArray[np.int64]:
    """Return the standard luminance table scaled to each quality from 1 to 100, int64 [100, 64]."""
    quality = np.arange(1, 101)
    percent = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    scaled: NDArray[np.int64] = (percent[:, None] * LUMINANCE + 50) // 100
    return scaled.clip(1, 255)


_TABLES = _standard_tables()
