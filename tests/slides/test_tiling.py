"""Patches of a plan, their labels, and reading each of them once and unchanged."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from shapely import Polygon

from histoforge.core.errors import SlideError
from histoforge.slides import (
    PlanSettings,
    Region,
    Scale,
    Slide,
    Tissue,
    open_slide,
    patch_scale,
    plan_patches,
    read_patch,
    read_patches,
)
from histoforge.slides.batches import plan_blocks
from histoforge.slides.reading import Box

pytest_plugins = ["slide_making"]
MakeSlide = Callable[..., Path]


@pytest.fixture
def slide(make_slide: MakeSlide, noise: np.ndarray) -> Slide:
    return open_slide(make_slide(noise, mpp=0.5, levels=3))


def everywhere(slide: Slide) -> Tissue:
    return Tissue(np.ones((60, 70), bool), (10.0, 10.0), (0, 0), np.zeros((60, 70, 3), np.uint8))


def square(label: int, x: float, y: float, side: float) -> Region:
    return Region("ab"[label], label, shapely.MultiPolygon([shapely.box(x, y, x + side, y + side)]))


def corners(plan: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(plan["x"], plan["y"], strict=True))


def test_patches_cover_the_slide_without_gap_or_overlap(slide: Slide) -> None:
    plan = plan_patches(slide, patch_scale(slide, (50, 100), mpp=0.5), everywhere(slide), PlanSettings(), None, 1)
    assert corners(plan) == [(x, y) for y in range(0, 600, 50) for x in range(0, 700, 100)]
    assert set(plan["label"]) == {1}


def test_stride_is_in_px_of_the_patches(slide: Slide) -> None:
    plan = plan_patches(
        slide, patch_scale(slide, (64, 64), mpp=1.0), everywhere(slide), PlanSettings(stride=48), None, 0
    )
    assert sorted(set(plan["x"])) == [0, 96, 192, 288, 384, 480]
    assert sorted(set(plan["y"])) == [0, 96, 192, 288, 384]


def test_only_the_scanned_area_is_cut(slide: Slide) -> None:
    slide.bounds = Box(130, 70, 250, 120)
    plan = plan_patches(slide, patch_scale(slide, (100, 100), mpp=0.5), everywhere(slide), PlanSettings(), None, 0)
    assert corners(plan) == [(130, 70), (230, 70)]


def test_patches_with_too_little_tissue_are_excluded(slide: Slide) -> None:
    tissue = everywhere(slide)
    tissue.mask[:, 25:] = False
    scale = patch_scale(slide, (100, 100), mpp=0.5)
    half = plan_patches(slide, scale, tissue, PlanSettings(min_tissue=0.5), None, 0)
    most = plan_patches(slide, scale, tissue, PlanSettings(min_tissue=0.6), None, 0)
    any_ = plan_patches(slide, scale, tissue, PlanSettings(min_tissue=0.0), None, 0)
    assert (set(half["x"]), set(most["x"]), set(any_["x"])) == ({0, 100, 200}, {0, 100}, {0, 100, 200})
    np.testing.assert_allclose(half.loc[half["x"] == 200, "tissue"], 0.5)


def test_the_centre_decides_and_the_smallest_region_wins(slide: Slide) -> None:
    regions = [square(1, 200, 200, 100), square(0, 0, 0, 420)]
    scale = patch_scale(slide, (100, 100), mpp=0.5)
    plan = plan_patches(slide, scale, everywhere(slide), PlanSettings(), regions, 0)
    assert set(corners(plan)) == {(x, y) for x in (0, 100, 200, 300) for y in (0, 100, 200, 300)}
    assert corners(plan[plan["label"] == 1]) == [(200, 200)]


def test_the_covered_fraction_decides(slide: Slide) -> None:
    scale = patch_scale(slide, (100, 100), mpp=0.5)
    regions = [square(0, 0, 0, 180), square(1, 180, 0, 100)]
    settings = PlanSettings(membership="fraction", min_region=0.8)
    plan = plan_patches(slide, scale, everywhere(slide), settings, regions)
    assert list(plan[["x", "y", "label"]].itertuples(index=False, name=None)) == [
        (0, 0, 0),
        (100, 0, 0),
        (200, 0, 1),
        (0, 100, 0),
    ]


def test_two_regions_of_a_class_cover_a_patch_together(slide: Slide) -> None:
    halves = [Region("a", 0, Polygon([(0, 0), (50, 0), (50, 100), (0, 100)])), square(0, 50, 0, 100)]
    settings = PlanSettings(membership="fraction", min_region=0.95)
    plan = plan_patches(slide, patch_scale(slide, (100, 100), mpp=0.5), everywhere(slide), settings, halves)
    assert corners(plan) == [(0, 0)]


def test_a_slide_without_regions_or_label_gives_no_patch(slide: Slide) -> None:
    assert not len(plan_patches(slide, patch_scale(slide, (50, 50), level=0), everywhere(slide), PlanSettings()))


@pytest.mark.parametrize(("mpp", "stride"), [(0.5, 32), (0.5, 20), (0.8, 32), (1.0, 32), (1.7, 16)])
@pytest.mark.parametrize("threads", [1, 3])
def test_patches_read_together_equal_those_read_alone(slide: Slide, mpp: float, stride: int, threads: int) -> None:
    scale = patch_scale(slide, (32, 32), mpp=mpp)
    plan = plan_patches(slide, scale, everywhere(slide), PlanSettings(stride=stride), None, 0)
    plan = plan.sample(frac=0.7, random_state=0).reset_index(drop=True)
    seen = []
    for rows, images in read_patches(slide, plan, scale, threads):
        seen += rows.tolist()
        for row, image in zip(rows, images, strict=True):
            np.testing.assert_array_equal(image, read_patch(slide, scale, *map(int, plan.loc[row, ["x", "y"]])))
    assert sorted(seen) == list(range(len(plan)))


def test_the_order_does_not_depend_on_the_threads(slide: Slide) -> None:
    scale = patch_scale(slide, (16, 16), mpp=0.5)
    plan = plan_patches(slide, scale, everywhere(slide), PlanSettings(), None, 0)
    orders = [np.concatenate([rows for rows, _ in read_patches(slide, plan, scale, n)]) for n in (1, 2, 5)]
    np.testing.assert_array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(orders[0], orders[2])


def test_blocks_contain_neighbouring_patches_in_bands_from_the_top() -> None:
    scale = Scale((32, 32), 0, 1.0, (32, 32), 0.5)
    x, y = np.array([9000, 32, 0, 9032, 0, 0]), np.array([0, 0, 0, 0, 64, 5000])
    assert [rows.tolist() for rows in plan_blocks(x, y, scale)] == [[2, 1, 4], [0, 3], [5]]
    assert plan_blocks(x[:0], y[:0], scale) == []


def test_a_transform_is_applied_to_every_patch(slide: Slide) -> None:
    scale = patch_scale(slide, (100, 100), level=0)
    plan = plan_patches(slide, scale, everywhere(slide), PlanSettings(), None, 0)
    (plain,) = (images for _, images in read_patches(slide, plan, scale))
    (inverted,) = (images for _, images in read_patches(slide, plan, scale, 2, lambda images: 255 - images))
    np.testing.assert_array_equal(inverted, 255 - plain)


def test_damage_in_one_patch_ends_the_slide(tmp_path: Path, phantoms: Path) -> None:
    with open_slide(phantoms / "phantom-p01-s1.tiff") as slide:
        scale = patch_scale(slide, (64, 64), level=0)
        tissue = Tissue(np.ones((10, 10), bool), (102.4, 102.4), (0, 0), np.zeros((10, 10, 3), np.uint8))
        plan = plan_patches(slide, scale, tissue, PlanSettings(), None, 0)
    content = bytearray((phantoms / "phantom-p01-s1.tiff").read_bytes())
    content[20_000:60_000] = bytes(40_000)
    path = tmp_path / "damaged.tiff"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"damaged\.tiff is damaged at x="), open_slide(path) as slide:
        list(read_patches(slide, plan, scale, threads=2))
