"""The pixels of a patch depend only on the slide, its corner and its scale, not on patches read with it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from real_data import shared_data

from histoforge.slides import Scale, Slide, open_slide, patch_scale, read_patch, read_patches

Pixels = NDArray[np.uint8]
JPEG = {"compression": "jpeg", "compressionargs": {"level": 90}}
LZW = {"compression": "lzw"}


def write_pyramid(path: Path, sizes: list[tuple[int, int]], compression: dict[str, object]) -> Path:
    """A slide with levels of these sizes (height, width), each with different noise, at 0.5 um/px."""
    rng = np.random.default_rng(0)
    kind = {"tile": (128, 128), "photometric": "rgb", "metadata": None}
    unit = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as writer:
        for level, size in enumerate(sizes):
            image = rng.integers(0, 256, (*size, 3), np.uint8)
            writer.write(image, subfiletype=1 if level else 0, **kind, **unit, **compression)
    return path


def read_plan(slide: Slide, plan: pd.DataFrame, scale: Scale) -> Pixels:
    """Patches in the order of the plan, uint8 [n, h, w, 3]."""
    images = np.empty((len(plan), *scale.patch_size, 3), np.uint8)
    for rows, batch in read_patches(slide, plan, scale):
        images[rows] = batch
    return images


def assert_same_pixels(slide: Slide, scale: Scale, plan: pd.DataFrame) -> None:
    read_alone = np.stack([read_patch(slide, scale, int(x), int(y)) for x, y in zip(plan["x"], plan["y"], strict=True)])
    rng = np.random.default_rng(1)
    subsets = [np.arange(len(plan)), rng.permutation(len(plan))]
    subsets += [rng.permutation(len(plan))[: max(1, len(plan) // divisor)] for divisor in (2, 3, 10)]
    for rows in subsets:
        read_together = read_plan(slide, plan.iloc[rows].reset_index(drop=True), scale)
        np.testing.assert_array_equal(read_together, read_alone[rows])


def corners(slide: Slide, scale: Scale, step: float = 0.8) -> pd.DataFrame:
    """Overlapping corners all over the slide, on integer and fractional pixels of the level."""
    height, width = scale.footprint
    x = np.arange(0, slide.size[0] - width, width * step)
    y = np.arange(0, slide.size[1] - height, height * step)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.int64)
    return pd.DataFrame(grid, columns=["x", "y"])


@pytest.mark.parametrize("compression", [LZW, JPEG], ids=["lzw", "jpeg"])
@pytest.mark.parametrize(
    "sizes", [[(640, 768), (320, 384), (160, 192)], [(637, 761), (233, 279), (101, 120)]], ids=["whole", "fractional"]
)
@pytest.mark.parametrize("given", [{"mpp": 0.5}, {"mpp": 0.8}, {"mpp": 1.7}, {"mpp": 0.45}, {"level": 1}, {"level": 2}])
def test_a_patch_has_the_same_pixels_whatever_is_read_with_it(
    tmp_path: Path, sizes: list[tuple[int, int]], compression: dict[str, object], given: dict[str, float]
) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tiff", sizes, compression)) as slide:
        scale = patch_scale(slide, (24, 32), **given)
        assert_same_pixels(slide, scale, corners(slide, scale))


def test_a_patch_beside_an_omitted_tile_keeps_its_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "sparse.tiff"
    kind = {"dtype": np.uint8, "tile": (128, 128), "photometric": "rgb", "metadata": None, **JPEG}
    with tifffile.TiffWriter(path) as writer:
        for shape, sparse in (((513, 516, 3), False), ((200, 200, 3), True)):
            count = (-(-shape[0] // 128)) * (-(-shape[1] // 128))
            tiles = [rng.integers(0, 256, (128, 128, 3), np.uint8) for _ in range(count)]
            if sparse:
                tiles[-1] = None
            writer.write(iter(tiles), shape=shape, subfiletype=1 if sparse else 0, **kind)
    with open_slide(path) as slide:
        scale = patch_scale(slide, (24, 24), level=1)
        assert_same_pixels(slide, scale, corners(slide, scale))


@pytest.mark.parametrize("name", ["derived-cmu-1-small-region-pyramid.tiff", "derived-tcga-cr-7395-pyramid-nompp.tiff"])
@pytest.mark.parametrize("level", [0, 1])
def test_patches_of_real_slides_have_the_same_pixels_whatever_is_read_with_them(name: str, level: int) -> None:
    with open_slide(shared_data("wsi", name), mpp=0.5) as slide:
        for scale in (
            patch_scale(slide, (224, 224), level=level),
            patch_scale(slide, (224, 224), mpp=0.5 * slide.downsamples[level] * 1.3),
        ):
            assert_same_pixels(slide, scale, corners(slide, scale, 0.9).iloc[:40])
