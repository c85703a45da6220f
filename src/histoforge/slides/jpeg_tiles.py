"""Fast reading of TIFF slides with JPEG tiles (most SVS and plain TIFF files).

Decoding such a tile with libjpeg-turbo alone takes about a fifth of the time of reading it through OpenSlide, and the
pixels are the same. A level is read in this way only after one of its tiles has been compared with OpenSlide's result;
anything unusual is left to OpenSlide.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from histoforge.core.timings import spent

Pixels = NDArray[np.uint8]

VENDORS = ("aperio", "generic-tiff")
JPEG = 7
CACHE_BYTES = 64 * 2**20
SAME_COLOUR = 2.0


class JpegTiles:
    """The JPEG tiles of one level of a slide. Several threads can read it at once.

    Attributes:
        size: width and height of the level, px.
    """

    def __init__(self, page: tifffile.TiffPage, file: int, cache: "TileCache") -> None:
        self.size = (page.imagewidth, page.imagelength)
        self._tile = (page.tilewidth, page.tilelength)
        self._columns = -(-page.imagewidth // page.tilewidth)
        self._offsets = np.array(page.dataoffsets, np.int64)
        self._lengths = np.array(page.databytecounts, np.int64)
        self._tables = page.jpegtables
        self._colours = "YCBCR" if page.photometric == tifffile.PHOTOMETRIC.YCBCR else "RGB"
        self._file, self._cache = file, cache

    def read(self, x: int, y: int, width: int, height: int, background: tuple[int, int, int]) -> Pixels | None:
        """Read a rectangle in px of this level, uint8 [height, width, 3], or None if the file omits a tile.

        Args:
            x, y: upper left corner, px of this level; may lie outside.
            width, height: size of the rectangle, px.
            background: colour of the area outside the level, RGB.

        Raises:
            ValueError: a tile is damaged.
        """
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, self.size[0]), min(y + height, self.size[1])
        pixels = np.empty((height, width, 3), np.uint8)
        if (left, top, right, bottom) != (x, y, x + width, y + height):
            pixels[:] = background
        for column, row in self._tiles(left, top, right, bottom):
            index = row * self._columns + column
            if index >= len(self._lengths) or self._lengths[index] == 0:
                return None
            tile_x, tile_y = column * self._tile[0], row * self._tile[1]
            x0, x1 = max(left, tile_x), min(right, tile_x + self._tile[0])
            y0, y1 = max(top, tile_y), min(bottom, tile_y + self._tile[1])
            tile = self._decoded(index)
            pixels[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - tile_y : y1 - tile_y, x0 - tile_x : x1 - tile_x]
        return pixels

    def largest_tile(self) -> tuple[int, int, int, int]:
        """Return left, top, width and height, px, of the tile with most bytes, which shows most of the colours."""
        row, column = divmod(int(self._lengths.argmax()), self._columns)
        left, top = column * self._tile[0], row * self._tile[1]
        return left, top, min(self._tile[0], self.size[0] - left), min(self._tile[1], self.size[1] - top)

    def _tiles(self, left: int, top: int, right: int, bottom: int) -> Iterator[tuple[int, int]]:
        if left >= right or top >= bottom:
            return
        for row in range(top // self._tile[1], (bottom - 1) // self._tile[1] + 1):
            for column in range(left // self._tile[0], (right - 1) // self._tile[0] + 1):
                yield column, row

    def _decoded(self, index: int) -> Pixels:
        key = (id(self), index)
        tile = self._cache.get(key)
        if tile is None:
            try:
                with spent("read", size=int(self._lengths[index])):
                    content = os.pread(self._file, int(self._lengths[index]), int(self._offsets[index]))
                with spent("decode"):
                    tile = imagecodecs.jpeg8_decode(
                        content, tables=self._tables, colorspace=self._colours, outcolorspace="RGB"
                    )
            except (imagecodecs.Jpeg8Error, RuntimeError, OSError, OverflowError, MemoryError) as error:
                raise ValueError(f"tile {index}: {error}") from error
            if tile.shape != (self._tile[1], self._tile[0], 3):
                raise ValueError(f"tile {index} has the shape {tile.shape}")
            self._cache.put(key, tile)
        return tile


class TileCache:
    """A cache of the most recently used decoded tiles, up to a number of bytes."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._tiles: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._free = max_bytes
        self._lock = Lock()

    def get(self, key: tuple[int, int]) -> Pixels | None:
        """Return a tile, or None if it is not in the cache."""
        with self._lock:
            tile = self._tiles.get(key)
            if tile is not None:
                self._tiles.move_to_end(key)
            return tile

    def put(self, key: tuple[int, int], tile: Pixels) -> None:
        """Add a tile, and evict the least recently used ones."""
        with self._lock:
            if key not in self._tiles:
                self._tiles[key] = tile
                self._free -= tile.nbytes
                while self._free < 0:
                    self._free += self._tiles.popitem(last=False)[1].nbytes


class JpegSlide:
    """The levels of a slide that can be read as JPEG tiles.

    Args:
        path: the file.
        level_sizes: width and height of the levels that OpenSlide reports, px.
        read_through_openslide: reads a rectangle (left, top, width, height, px) of a level, for comparison.
    """

    def __init__(
        self,
        path: Path,
        level_sizes: Sequence[tuple[int, int]],
        read_through_openslide: Callable[[int, tuple[int, int, int, int]], Pixels],
    ) -> None:
        self._reference = read_through_openslide
        self._checked: dict[int, bool] = {}
        self._lock = Lock()
        cache = TileCache()
        self._levels: dict[int, JpegTiles] = {}
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and _is_plain(page)]
            self._file = os.open(path, os.O_RDONLY)
            for level, size in enumerate(level_sizes):
                matching = [page for page in pages if (page.imagewidth, page.imagelength) == size]
                if len(matching) == 1:
                    self._levels[level] = JpegTiles(matching[0], self._file, cache)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def level(self, level: int) -> JpegTiles | None:
        """Return a level after checking one of its tiles against OpenSlide, or None if OpenSlide must read it."""
        tiles = self._levels.get(level)
        if tiles is None:
            return None
        with self._lock:
            if level not in self._checked:
                self._checked[level] = self._agrees(level, tiles)
            return tiles if self._checked[level] else None

    def _agrees(self, level: int, tiles: JpegTiles) -> bool:
        """Compare mean colours with OpenSlide, which may shift a coarser level by a fraction of a px."""
        box = tiles.largest_tile()
        try:
            pixels = tiles.read(*box, background=(255, 255, 255))
        except ValueError:
            return False
        if pixels is None:
            return False
        difference = pixels.mean(axis=(0, 1)) - self._reference(level, box).mean(axis=(0, 1))
        return bool(np.abs(difference).max() < SAME_COLOUR)


def _is_plain(page: tifffile.TiffPage) -> bool:
    """Return whether a page is one plane of 8-bit colour in JPEG tiles."""
    return bool(
        page.is_tiled
        and page.compression == JPEG
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
        and page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    )
