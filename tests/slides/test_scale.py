"""A resolution determines the level and the window to read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from histoforge.core.errors import SlideError
from histoforge.slides import open_slide, patch_scale, read_overview, read_patch

pytest_plugins = ["slide_making"]
MakeSlide = Callable[..., Path]


@pytest.fixture
def pyramid(make_slide: MakeSlide, noise: np.ndarray) -> Path:
    return make_slide(noise, mpp=0.5, levels=3)


@pytest.mark.parametrize(
    ("mpp", "level", "window"),
    [
        (0.5, 0, 32),
        (0.505, 0, 32),
        (0.75, 0, 48),
        (1.0, 1, 32),
        (1.9, 1, 60.8),
        (2.0, 2, 32),
        (4.0, 2, 64),
        (0.45, 0, 28.8),
    ],
)
def test_the_coarsest_level_that_is_fine_enough_is_read(pyramid: Path, mpp: float, level: int, window: float) -> None:
    with open_slide(pyramid) as slide:
        scale = patch_scale(slide, (32, 32), mpp=mpp)
    assert scale.level == level
    np.testing.assert_allclose(scale.window, window, rtol=1e-6)
    np.testing.assert_allclose(scale.footprint[0] * 0.5 / 32, mpp, rtol=0.02)


def test_a_resized_patch_is_the_mean_of_what_it_covers(make_slide: MakeSlide, noise: np.ndarray) -> None:
    with open_slide(make_slide(noise, mpp=0.5)) as slide:
        scale = patch_scale(slide, (20, 30), mpp=1.5)
        patch = read_patch(slide, scale, 33, 66)
    means = noise[66 : 66 + 60, 33 : 33 + 90].reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(patch, means, atol=1)


def test_reading_at_a_level_changes_no_pixel(pyramid: Path, noise: np.ndarray) -> None:
    with open_slide(pyramid) as slide:
        scale = patch_scale(slide, (32, 48), level=1)
        assert (scale.mpp, scale.resizes) == (pytest.approx(1.0), False)
        patch = read_patch(slide, scale, 64, 32)
    quads = noise[32:96, 64:160].reshape(32, 2, 48, 2, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(patch, quads, atol=0.51)


def test_a_slide_too_coarse_and_a_level_too_high_are_refused(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        with pytest.raises(SlideError, match=r"0\.5 um/px, too coarse for patches of 0\.25"):
            patch_scale(slide, (32, 32), mpp=0.25)
        with pytest.raises(SlideError, match="has no level 3: it has levels 0 to 2"):
            patch_scale(slide, (32, 32), level=3)


def test_an_overview_is_the_whole_slide_undistorted(make_slide: MakeSlide) -> None:
    image = np.full((400, 800, 3), 255, np.uint8)
    image[:, :400] = (200, 0, 0)
    image[:, 400:] = (0, 0, 200)
    with open_slide(make_slide(image)) as slide:
        overview = read_overview(slide, (64, 64))
    assert overview.shape == (64, 64, 3)
    assert (overview[:15] == 255).all()
    np.testing.assert_array_equal(overview[32, 10], (200, 0, 0))
    np.testing.assert_array_equal(overview[32, 53], (0, 0, 200))
