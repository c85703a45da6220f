"""Clipped density and coverage against their definitions, point by point, and against their calibration."""

import math

import numpy as np
import pytest

from histoforge.metrics.clipped import clipped_coverage, clipped_density

K = 5


def distances(first, second):
    return np.linalg.norm(first[:, None] - second[None], axis=2)


def density_by_definition(real, fake):
    between = distances(real, real) + np.diag([np.inf] * len(real))
    radii = np.sort(between, axis=1)[:, K - 1]
    radii = np.minimum(radii, np.median(radii))
    fidelity = np.minimum((distances(real, fake) <= radii[:, None]).sum(0) / K, 1).mean()
    of_real = np.minimum((between <= radii[:, None]).sum(0) / K, 1).mean()
    return min(fidelity / of_real, 1)


def expected_coverage(n, m):
    """E[min(j, K)] / K for j of m uniform draws below the K-th of n - 1, by summing all beta-binomial terms."""

    def log_beta(a, b):
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    return sum(
        min(j, K) / K * math.comb(m, j) * math.exp(log_beta(K + j, n - K + m - j) - log_beta(K, n - K))
        for j in range(m + 1)
    )


def coverage_by_definition(real, fake):
    between = distances(real, real) + np.diag([np.inf] * len(real))
    radii = np.sort(between, axis=1)[:, K - 1]
    mean = np.minimum((distances(real, fake) < radii[:, None]).sum(1) / K, 1).mean()
    table = [0.0] * K + [expected_coverage(len(real), m) for m in range(K, len(fake) + 1)]
    return sum(value < mean for value in table) / len(table)


@pytest.mark.parametrize(("n", "m", "shift"), [(40, 30, 0.0), (41, 60, 0.7), (30, 30, 2.0)])
def test_equal_the_definitions(n, m, shift):
    rng = np.random.default_rng(n)
    real, fake = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) + shift
    assert clipped_density(real, fake, K) == pytest.approx(density_by_definition(real, fake))
    assert clipped_coverage(real, fake, K) == pytest.approx(coverage_by_definition(real, fake))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_both_are_the_share_of_good_samples(share):
    rng = np.random.default_rng(4)
    real, fake = rng.normal(size=(600, 4)), rng.normal(size=(600, 4))
    fake[round(share * 600) :] += 1000
    assert clipped_density(real, fake) == pytest.approx(share, abs=0.06)
    assert clipped_coverage(real, fake) == pytest.approx(share, abs=0.06)


def test_an_outlier_among_the_real_samples_makes_no_fake_good():
    rng = np.random.default_rng(5)
    real, fake = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 40
    real[0] = 1000
    assert clipped_density(real, fake) == 0


def test_copies_of_one_real_sample_are_dense_and_cover_little():
    rng = np.random.default_rng(6)
    real = rng.normal(size=(200, 2))
    fake = real[:1] + rng.normal(size=(200, 2)) * 1e-4
    assert clipped_coverage(real, fake) < 0.1


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="5 neighbours need more than 5 real samples"):
        clipped_density(np.zeros((5, 2)), np.zeros((9, 2)))
