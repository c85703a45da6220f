"""The Frechet distance against SciPy's matrix square root, closed forms, and its behaviour with few samples."""

import numpy as np
import pytest
import scipy.linalg
import torch

from histoforge.metrics.frechet import FrechetReference, GaussianStats, frechet_distance


def by_square_root(real: np.ndarray, fake: np.ndarray) -> float:
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    gap = real.mean(0) - fake.mean(0)
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * np.trace(root))


def mixed(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    return rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal(
        size=dimensions
    )


def test_equals_the_matrix_square_root_on_well_conditioned_input():
    rng = np.random.default_rng(0)
    real, fake = mixed(rng, 500, 40), mixed(rng, 400, 40)
    np.testing.assert_allclose(frechet_distance(real, fake), by_square_root(real, fake), rtol=1e-6)


def test_statistics_do_not_depend_on_the_blocks(monkeypatch):
    real = torch.from_numpy(mixed(np.random.default_rng(0), 130, 7))
    monkeypatch.setattr("histoforge.metrics.frechet.BLOCK_ELEMENTS", 7 * 40)
    stats = GaussianStats.of(real)
    torch.testing.assert_close(stats.mean, real.mean(0))
    torch.testing.assert_close(stats.covariance, real.T.cov())
    assert stats.factor is None


def test_float32_features_lose_nothing_in_the_statistics():
    rng = np.random.default_rng(1)
    real, fake = (mixed(rng, 300, 20) + 50).astype(np.float32), (mixed(rng, 300, 20) + 50).astype(np.float32)
    expected = by_square_root(real.astype(np.float64), fake.astype(np.float64))
    np.testing.assert_allclose(frechet_distance(real, fake), expected, rtol=1e-6)


@pytest.mark.parametrize(("n_real", "n_fake"), [(30, 400), (400, 30), (30, 25), (25, 30)])
def test_fewer_samples_than_dimensions_equal_the_matrix_square_root_of_the_rank_deficient(n_real, n_fake):
    rng = np.random.default_rng(2)
    real, fake = mixed(rng, n_real, 60), mixed(rng, n_fake, 60)
    expected = _by_nuclear_norm(real, fake)
    np.testing.assert_allclose(frechet_distance(real, fake), expected, rtol=1e-6)


def _by_nuclear_norm(real: np.ndarray, fake: np.ndarray) -> float:
    """tr (S1 S2)^(1/2) is the sum of the singular values of A B^T, where S1 = A^T A and S2 = B^T B."""
    first = (real - real.mean(0)) / np.sqrt(len(real) - 1)
    second = (fake - fake.mean(0)) / np.sqrt(len(fake) - 1)
    gap = real.mean(0) - fake.mean(0)
    singular = np.linalg.svd(first @ second.T, compute_uv=False)
    return float(gap @ gap + np.square(first).sum() + np.square(second).sum() - 2 * singular.sum())


def test_features_that_never_vary_do_no_harm():
    rng = np.random.default_rng(3)
    real, fake = mixed(rng, 200, 12), mixed(rng, 200, 12)
    padded_real, padded_fake = np.pad(real, ((0, 0), (0, 5))), np.pad(fake, ((0, 0), (0, 5)))
    np.testing.assert_allclose(frechet_distance(padded_real, padded_fake), frechet_distance(real, fake), rtol=1e-6)


@pytest.mark.parametrize("count", [200, 12])
def test_distance_of_a_set_to_itself_is_zero(count):
    features = mixed(np.random.default_rng(4), count, 24)
    scale = np.trace(np.cov(features, rowvar=False))
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-6 * scale)


def test_distance_of_two_known_gaussians():
    """Diagonal covariances commute: |m1 - m2|^2 + sum (s1 - s2)^2."""
    first = GaussianStats(100, torch.tensor([0.0, 1.0]).double(), torch.diag(torch.tensor([4.0, 9.0]).double()))
    second = GaussianStats(100, torch.tensor([3.0, 1.0]).double(), torch.diag(torch.tensor([1.0, 25.0]).double()))
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 4)


def test_distance_is_symmetric_and_grows_with_the_square_of_scale():
    rng = np.random.default_rng(5)
    real, fake = mixed(rng, 100, 8), mixed(rng, 120, 8)
    distance = frechet_distance(real, fake)
    assert frechet_distance(fake, real) == pytest.approx(distance)
    assert frechet_distance(3 * real, 3 * fake) == pytest.approx(9 * distance)


@pytest.mark.parametrize("n_real", [200, 10])
def test_a_reference_gives_the_same_distance_every_time_it_is_used(n_real):
    rng = np.random.default_rng(6)
    real = mixed(rng, n_real, 16)
    fakes = [mixed(rng, count, 16) for count in (200, 8, 12, 100)]
    reference = FrechetReference(real)
    for fake in (*fakes, *fakes):
        assert reference.distance(fake) == frechet_distance(real, fake)


@pytest.mark.parametrize("bad", [np.full((5, 3), np.nan), np.zeros((5, 4)), np.zeros((1, 3)), np.zeros(3)])
def test_features_that_cannot_be_compared_are_refused(bad):
    with pytest.raises(ValueError, match=r"finite|dimensions|two samples|matrix"):
        frechet_distance(np.random.default_rng(0).normal(size=(5, 3)), bad)
