"""Write slides as pyramidal tiled TIFF, which OpenSlide and QuPath open."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from histoforge.core.files import atomic_file
from histoforge.patches.images import Pixels

TILE_PX = 256
BAND_PX = 512
"""Rows of a level that are processed at once; a multiple of the tile."""
MIN_LEVEL_PX = 512
JPEG_QUALITY = 88


def write_pyramid(
    path: Path, size: tuple[int, int], bands: Iterator[Pixels], mpp: float | None, description: str = ""
) -> None:
    """Write one slide as a pyramid of JPEG tiles, each level at half the resolution of the previous one.

    The pixels are streamed: memory holds some bands, and the coarser levels wait in temporary files.

    Args:
        path: the TIFF to write.
        size: width and height of the finest level, px.
        bands: its rows from top to bottom, each uint8 [BAND_PX, width, 3], the last one with the remaining rows.
        mpp: micrometres per pixel of the finest level, which becomes the resolution of the file; None for none.
        description: text of the file's ImageDescription.

    Raises:
        StorageError: the disk is full or `path` cannot be written; nothing is left behind.
    """
    width, height = size
    levels = [size]
    while max(levels[-1]) > MIN_LEVEL_PX:
        levels.append((levels[-1][0] // 2, levels[-1][1] // 2))
    with (
        atomic_file(path) as temporary,
        tempfile.TemporaryDirectory() as folder,
        tifffile.TiffWriter(temporary, bigtiff=width * height > 2**30) as writer,
    ):
        level = _scratch(folder, 1, levels)
        _write_level(writer, _shrinking(bands, level), levels[0], mpp, description=description or None)
        for number, level_size in enumerate(levels[1:], 1):
            finer, level = level, _scratch(folder, number + 1, levels)
            coarser_mpp = None if mpp is None else mpp * 2**number
            _write_level(writer, _shrinking(bands_of(finer), level), level_size, coarser_mpp, subfiletype=1)


def bands_of(image: Pixels | None) -> Iterator[Pixels]:
    """Yield the rows of an image, uint8 [H, W, 3], as `write_pyramid` takes them."""
    if image is not None:
        for y in range(0, len(image), BAND_PX):
            yield np.asarray(image[y : y + BAND_PX])


def _scratch(folder: str, number: int, levels: list[tuple[int, int]]) -> Pixels | None:
    """Allocate disk space for a level, uint8 [height, width, 3], or return None after the last level."""
    if number == len(levels):
        return None
    width, height = levels[number]
    path = Path(folder, str(number))
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):  # a full disk would otherwise kill the process when a page is written
            os.posix_fallocate(file.fileno(), 0, width * height * 3)
        file.truncate(width * height * 3)
    return np.memmap(path, np.uint8, "r+", shape=(height, width, 3))


def _shrinking(bands: Iterator[Pixels], coarser: Pixels | None) -> Iterator[Pixels]:
    """Yield the bands of a level, and write each, halved in size, to its position in the next level."""
    y = 0
    for band in bands:
        if coarser is not None:
            half = np.asarray(Image.fromarray(band).reduce(2))
            target = coarser[y // 2 : y // 2 + len(half)]
            target[:] = half[: len(target), : coarser.shape[1]]
        y += len(band)
        yield band


def _write_level(
    writer: tifffile.TiffWriter,
    bands: Iterator[Pixels],
    size: tuple[int, int],
    mpp: float | None,
    description: str | None = None,
    subfiletype: int = 0,
) -> None:
    writer.write(
        _tiles(bands),
        shape=(size[1], size[0], 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": JPEG_QUALITY},
        subsampling=(2, 2),
        resolution=None if mpp is None else (1e4 / mpp, 1e4 / mpp),
        resolutionunit=None if mpp is None else "CENTIMETER",
        subfiletype=subfiletype,
        description=description,
        metadata=None,
        maxworkers=1,
    )


def _tiles(bands: Iterator[Pixels]) -> Iterator[Pixels]:
    """Yield tiles from left to right and top to bottom, padded at the edges."""
    for band in bands:
        rows, columns = (-band.shape[axis] % TILE_PX for axis in (0, 1))
        padded = np.pad(band, ((0, rows), (0, columns), (0, 0)), mode="edge")
        for y in range(0, padded.shape[0], TILE_PX):
            for x in range(0, padded.shape[1], TILE_PX):
                yield np.ascontiguousarray(padded[y : y + TILE_PX, x : x + TILE_PX])
