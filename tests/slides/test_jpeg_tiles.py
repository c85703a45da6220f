"""Tiles decoded directly have the same pixels as those from OpenSlide; other files are read by OpenSlide."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from real_data import shared_data

from histoforge.core.errors import SlideError
from histoforge.slides import Slide, open_slide

pytest_plugins = ["slide_making"]


def reads_tiles(slide: Slide, level: int = 0) -> bool:
    return slide._jpeg is not None and slide._jpeg.level(level) is not None


def write(path: Path, image: np.ndarray, photometric: str = "ycbcr", missing: int | None = None) -> Path:
    """A tiled JPEG TIFF, with at most one tile omitted."""
    tiles = [image[y : y + 64, x : x + 64] for y in range(0, 256, 64) for x in range(0, 320, 64)]
    tiles = [None if index == missing else tile for index, tile in enumerate(tiles)]
    kind = {"shape": (256, 320, 3), "dtype": np.uint8, "tile": (64, 64), "photometric": photometric}
    tifffile.imwrite(path, iter(tiles), compression="jpeg", metadata=None, **kind)
    return path


@pytest.fixture
def image() -> np.ndarray:
    """Smooth colours, uint8 [256, 320, 3]."""
    down, across = np.mgrid[:256, :320]
    return np.stack([across * 0.7, down * 0.9, 250 - across * 0.3], axis=2).astype(np.uint8)


@pytest.mark.parametrize("photometric", ["ycbcr", "rgb"])
def test_the_pixels_are_those_of_openslide(tmp_path: Path, image: np.ndarray, photometric: str) -> None:
    with open_slide(write(tmp_path / "a.tiff", image, photometric)) as slide:
        assert reads_tiles(slide)
        for box in ((0, 0, 0, 320, 256), (50, 70, 0, 100, 33), (-20, 200, 0, 400, 100), (900, 900, 0, 8, 8)):
            np.testing.assert_array_equal(slide.read(*box), slide.read_with_openslide(*box))


@pytest.mark.parametrize("name", ["cmu-1-small-region.svs", "derived-cmu-1-small-region-pyramid.tiff"])
def test_the_pixels_of_real_slides_are_those_of_openslide(name: str) -> None:
    with open_slide(shared_data("wsi", name)) as slide:
        assert reads_tiles(slide)
        for x, y in ((0, 0), (901, 1003), (2000, 2800)):
            box = (x, y, 0, 333, 444)
            np.testing.assert_array_equal(slide.read(*box), slide.read_with_openslide(*box))
        for level in range(1, len(slide.level_sizes)):
            assert reads_tiles(slide, level)
            box = (0, 0, level, *slide.level_sizes[level])
            np.testing.assert_array_equal(slide.read(*box), slide.read_with_openslide(*box))


def test_jpeg_2000_is_read_by_openslide() -> None:
    with open_slide(shared_data("wsi", "tcga-cr-7395-01a-01-ts1.svs")) as slide:
        assert not reads_tiles(slide)
        assert slide.read(0, 0, 0, 64, 64).shape == (64, 64, 3)


def test_omitted_tiles_are_read_by_openslide(tmp_path: Path, image: np.ndarray) -> None:
    with open_slide(write(tmp_path / "a.tiff", image, missing=6)) as slide:
        assert reads_tiles(slide)
        box = (0, 0, 0, 320, 256)
        np.testing.assert_array_equal(slide.read(*box), slide.read_with_openslide(*box))
        assert (slide.read(64, 64, 0, 64, 64) == 255).all()


def test_a_level_with_other_colours_is_read_by_openslide(tmp_path: Path, image: np.ndarray) -> None:
    path = write(tmp_path / "a.tiff", image)
    with open_slide(path) as slide:
        assert slide._jpeg is not None
        slide._jpeg._levels[0]._colours = "RGB"
        assert not reads_tiles(slide)
        box = (0, 0, 0, 320, 256)
        np.testing.assert_array_equal(slide.read(*box), slide.read_with_openslide(*box))


def test_a_damaged_tile_is_named(tmp_path: Path, image: np.ndarray) -> None:
    path = write(tmp_path / "a.tiff", image)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        offset, length = page.dataoffsets[7], page.databytecounts[7]
    content = bytearray(path.read_bytes())
    content[offset : offset + length] = bytes(length)
    path.write_bytes(content)
    with open_slide(path) as slide:
        assert reads_tiles(slide)
        slide.read(0, 0, 0, 64, 64)
        with pytest.raises(SlideError, match=r"a\.tiff is damaged at x=128, y=64 of level 0"):
            slide.read(128, 64, 0, 64, 64)
