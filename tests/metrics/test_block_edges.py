"""Artefacts at block borders: none in noise, and the energy of a grid that is drawn on it."""

import numpy as np
import pytest

from histoforge.metrics.block_edges import block_edges


def noise(shape=(200, 32, 48, 3)):
    return np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8)


def test_noise_has_no_grid():
    assert block_edges(noise()) == pytest.approx(1, abs=0.02)


def test_equals_the_ratio_written_out():
    images = noise((3, 16, 24, 3))
    grey = images.astype(float).mean(3)
    border, elsewhere = [], []
    for image in grey:
        for y in range(16):
            border += [(image[y, x] - image[y, x - 1]) ** 2 for x in (8, 16)]
            elsewhere += [(image[y, x] - image[y, x - 1]) ** 2 for x in range(1, 24) if x % 8]
        for x in range(24):
            border += [(image[8, x] - image[7, x]) ** 2]
            elsewhere += [(image[y, x] - image[y - 1, x]) ** 2 for y in range(1, 16) if y % 8]
    assert block_edges(images) == pytest.approx(np.mean(border) / np.mean(elsewhere), rel=1e-4)


def test_blocks_of_different_brightness_are_seen():
    blocks = np.random.default_rng(1).integers(0, 55, (200, 4, 6, 1))
    images = noise() // 4 + np.kron(blocks, np.ones((1, 8, 8, 3), np.uint8)).astype(np.uint8)
    assert block_edges(images) > 1.3


def test_small_or_uniform_patches_have_no_value():
    assert block_edges(np.zeros((2, 8, 8, 3), np.uint8)) is None
    assert block_edges(np.zeros((2, 16, 16, 3), np.uint8)) is None
