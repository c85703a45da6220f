"""Repeated tissue: patches that resemble their own image more than another one."""

import numpy as np
import pytest
from tiny_guide import random_guide

from histoforge.siamese.repeated_tissue import embed_patches, repeated_share


def directions(count, seed):
    points = np.abs(np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_patches_without_a_preference_are_nearer_to_their_own_image_half_of_the_time():
    assert repeated_share([directions(300, seed) for seed in range(3)]) == pytest.approx(0.5, abs=0.06)


def test_an_image_that_shows_everything_twice_repeats_its_tissue():
    assert repeated_share([np.repeat(directions(20, seed), 2, axis=0) for seed in range(3)]) == 1


def test_copies_of_one_image_do_not_repeat_themselves():
    assert repeated_share([directions(50, 0)] * 2) < 0.5


def test_one_image_or_one_patch_has_nothing_to_compare_with():
    assert repeated_share([directions(5, 0)]) is None
    assert repeated_share([directions(5, 0), directions(1, 1)]) is None


def test_an_image_is_cut_into_patches_of_the_guide():
    guide = random_guide()
    image = np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)
    embeddings = embed_patches(guide, image)
    assert len(embeddings) == 2 * 3
    np.testing.assert_allclose(embeddings[4], embed_patches(guide, image[32:64, 32:64])[0], atol=1e-5)
