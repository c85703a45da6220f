"""Seam energy is 1 without seams, and grows with seams that are planted at the borders."""

import numpy as np
import pytest

from histoforge.metrics.seams import seam_energy


def tissue(count=4, height=96, width=128, seed=0):
    return np.random.default_rng(seed).integers(60, 200, (count, height, width, 3), dtype=np.uint8)


def test_noise_has_no_seams():
    assert seam_energy(tissue(), [32, 64], [40, 80]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("rows", "columns"), [([32], []), ([], [40]), ([32], [40])])
def test_a_planted_step_is_found_at_its_border_alone(rows, columns):
    images = tissue()
    for row in rows:
        images[:, row:] -= 30
    for column in columns:
        images[:, :, column:] -= 30
    smooth = seam_energy(tissue(), rows, columns)
    assert seam_energy(images, rows, columns) > smooth + 0.5
    assert seam_energy(images, [48], [56]) < 1.2


def test_the_ratio_is_that_of_the_mean_squared_differences():
    image = np.zeros((1, 4, 6, 3), np.uint8)
    image[:, :, 3:] = 20  # a border of 20 at column 3
    image[:, :, 5:] = 30  # another line of 10 at column 5
    assert seam_energy(image, [], [3]) == pytest.approx(20**2 / (10**2 / 4))


def test_a_decoders_grid_is_no_seam():
    images = tissue().astype(np.int64)
    images[:, :, ::8] += 50
    images = images.astype(np.uint8)
    assert seam_energy(images, [], [32, 64]) > 1.5
    assert seam_energy(images, [], [32, 64], grid=8) == pytest.approx(1, abs=0.1)


def test_there_is_no_ratio_without_borders_other_lines_or_gradients():
    assert seam_energy(tissue(), [], []) is None
    assert seam_energy(tissue(), range(1, 96), range(1, 128)) is None
    assert seam_energy(np.full((1, 8, 8, 3), 7, np.uint8), [4], [4]) is None
