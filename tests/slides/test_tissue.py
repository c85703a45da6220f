"""Tissue is detected; glass, ink, holes and specks are not."""

from pathlib import Path

import numpy as np
import pytest
from real_data import shared_data

from histoforge.slides import Tissue, find_tissue, open_slide
from histoforge.slides.tissue import tissue_mask

pytest_plugins = ["slide_making"]

PINK, PURPLE = (225, 150, 190), (130, 90, 160)


def glass(seed: int = 0, level: float = 243.0, size: int = 300) -> np.ndarray:
    """Empty glass with the noise of a camera, uint8."""
    noise = np.random.default_rng(seed).normal(level, 1.5, (size, size, 3))
    return noise.clip(0, 255).astype(np.uint8)


def disc(radius: int, size: int = 300, centre: tuple[int, int] = (150, 150)) -> np.ndarray:
    down, across = np.mgrid[:size, :size]
    return (down - centre[0]) ** 2 + (across - centre[1]) ** 2 < radius**2


@pytest.mark.parametrize("colour", [PINK, PURPLE])
def test_tissue_is_detected_up_to_its_edge(colour: tuple[int, int, int]) -> None:
    image, truth = glass(), disc(80)
    image[truth] = colour
    mask = tissue_mask(image)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95


def test_a_slide_full_of_pale_and_dark_tissue_is_all_tissue() -> None:
    image = np.full((300, 300, 3), PINK, np.uint8)
    image[:, 150:] = PURPLE
    assert tissue_mask(image).all()


@pytest.mark.parametrize("level", [255.0, 243.0, 200.0])
def test_empty_glass_has_no_tissue(level: float) -> None:
    assert not tissue_mask(glass(level=level)).any()


def test_tinted_empty_glass_has_no_tissue() -> None:
    assert not tissue_mask((glass() * np.array([1.0, 0.985, 0.96])).astype(np.uint8)).any()


@pytest.mark.parametrize("ink", [(30, 130, 60), (20, 40, 160), (60, 160, 220), (200, 30, 40), (25, 25, 28)])
def test_pen_marks_are_not_tissue(ink: tuple[int, int, int]) -> None:
    image, truth, pen = glass(), disc(60, centre=(180, 180)), np.zeros((300, 300), bool)
    image[truth] = PINK
    pen[20:40, 20:280] = True
    image[pen] = ink
    mask = tissue_mask(image)
    assert not mask[:60].any()
    assert (mask & truth).sum() / truth.sum() > 0.95


def test_holes_are_filled_and_specks_removed() -> None:
    image = glass()
    image[disc(80)] = PINK
    image[disc(7)] = 243
    image[disc(30, centre=(150, 110))] = 243
    image[10:16, 10:16] = PURPLE
    mask = tissue_mask(image)
    assert mask[150, 150]
    assert not mask[150, 110]
    assert not mask[:40, :40].any()


def test_fractions_of_rectangles() -> None:
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    tissue = Tissue(mask, (8.0, 8.0), (100, 50), np.zeros((40, 60, 3), np.uint8))
    x = np.array([100, 100 + 30 * 8, 100 + 26 * 8, 100 + 56 * 8])
    fractions = tissue.fractions(x, np.full(4, 50 + 80), (64.0, 64.0))
    np.testing.assert_allclose(fractions, [0, 1, 0.5, 0.5])


def test_a_drawn_slide_has_its_tissue_and_no_pen(phantoms: Path) -> None:
    with open_slide(phantoms / "phantom-p02-s1.tiff") as slide:
        tissue = find_tissue(slide)
    height, width = tissue.mask.shape
    assert 0.3 < tissue.share < 0.7
    assert tissue.mask[height // 2, width // 2]
    assert not tissue.mask[:, : width // 25].any()
    assert tissue.image[: height // 3, : width // 8].min() < 120, "the pen is there"
    assert not tissue.mask[: height // 3, : width // 8].any()


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("derived-cmu-1-small-region-pyramid.tiff", 0.3, 0.42), ("tcga-cr-7395-01a-01-ts1.svs", 0.55, 0.7)],
)
def test_real_slides(name: str, least: float, most: float) -> None:
    with open_slide(shared_data("wsi", name)) as slide:
        assert least < find_tissue(slide).share < most
