"""The Gaussian MMD against a double loop, and its expectation at any number of samples."""

import math

import numpy as np
import pytest

from histoforge.metrics.cmmd import gaussian_mmd


def by_definition(real, fake):
    real, fake = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (real, fake))

    def mean(pairs):
        return np.mean([math.exp(-float(((x - y) ** 2).sum()) / 200) for x, y in pairs])

    def within(side):
        return mean([(x, y) for i, x in enumerate(side) for j, y in enumerate(side) if i != j])

    return 1000 * (within(real) + within(fake) - 2 * mean([(x, y) for x in real for y in fake]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_definition(dtype):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(20, 6)).astype(dtype), (rng.normal(size=(15, 6)) + 0.8).astype(dtype)
    assert gaussian_mmd(real, fake) == pytest.approx(by_definition(real, fake), rel=1e-4)


def test_the_length_of_a_feature_does_not_matter():
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(30, 6)), rng.normal(size=(30, 6)) + 1
    scaled = fake * rng.uniform(1, 9, size=(30, 1))
    assert gaussian_mmd(real, scaled) == pytest.approx(gaussian_mmd(real, fake))


def test_it_is_not_biased_by_small_sets():
    rng = np.random.default_rng(2)
    small = [gaussian_mmd(rng.normal(size=(10, 8)), rng.normal(size=(10, 8))) for _ in range(200)]
    error = np.std(small) / len(small) ** 0.5
    assert abs(np.mean(small)) < 4 * error
    assert min(small) < 0 < max(small)


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least two samples"):
        gaussian_mmd(np.ones((1, 3)), np.ones((4, 3)))
