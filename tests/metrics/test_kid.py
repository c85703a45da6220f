"""The kernel distance against the definition and against clean-fid's own function."""

# ruff: noqa: NPY002 - clean-fid draws its subsets from NumPy's global generator

import numpy as np
import pytest
from cleanfid.fid import kernel_distance as cleanfid_kernel_distance

from histoforge.metrics.kid import kernel_distance, kernel_distances


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return (float(x @ y) / len(x) + 1) ** 3


def by_definition(real: np.ndarray, fake: np.ndarray) -> float:
    n, m = len(real), len(fake)
    within_real = sum(kernel(real[i], real[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_fake = sum(kernel(fake[i], fake[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    between = sum(kernel(x, y) for x in real for y in fake) / (n * m)
    return within_real + within_fake - 2 * between


@pytest.mark.parametrize(("rows", "columns"), [(512, 16384), (5, 16384), (5, 3)])
def test_equals_the_definition_with_unequal_counts(monkeypatch, rows, columns):
    monkeypatch.setattr("histoforge.metrics.kid.ROWS", rows)
    monkeypatch.setattr("histoforge.metrics.kid.COLUMNS", columns)
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(23, 5)), rng.normal(size=(17, 5)) + 0.3
    assert kernel_distance(real, fake) == pytest.approx(by_definition(real, fake), rel=1e-10)


@pytest.mark.parametrize(("n_real", "n_fake", "size"), [(90, 70, 40), (90, 30, 1000), (50, 50, 1000)])
def test_subsets_equal_clean_fid_with_the_same_seed(monkeypatch, n_real, n_fake, size):
    monkeypatch.setattr("histoforge.metrics.kid.ROWS", 32)
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(n_real, 16)), rng.normal(size=(n_fake, 16)) * 1.2
    np.random.seed(7)
    expected = cleanfid_kernel_distance(real, fake, num_subsets=9, max_subset_size=size)
    result = kernel_distances(real, fake, n_subsets=9, max_subset_size=size, seed=7)
    assert result.subset_mean == pytest.approx(expected, rel=1e-9)
    assert result.subset_size == min(n_real, n_fake, size)
    assert (result.subset_deviation is None) == (n_real == n_fake)


def test_float32_features_equal_clean_fid_within_its_own_rounding():
    rng = np.random.default_rng(2)
    real = np.abs(rng.normal(size=(300, 64))).astype(np.float32)
    fake = np.abs(rng.normal(size=(300, 64)) + 0.2).astype(np.float32)
    np.random.seed(0)
    expected = cleanfid_kernel_distance(real, fake, num_subsets=5, max_subset_size=200)
    result = kernel_distances(real, fake, n_subsets=5, max_subset_size=200, seed=0)
    assert result.subset_mean == pytest.approx(expected, rel=1e-4)


def test_subsets_leave_numpys_own_random_state_alone():
    rng = np.random.default_rng(3)
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    kernel_distances(rng.normal(size=(20, 4)), rng.normal(size=(20, 4)), 2, 5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_expected_value_for_one_distribution_is_zero():
    rng = np.random.default_rng(4)
    values = [kernel_distance(rng.normal(size=(40, 6)), rng.normal(size=(40, 6))) for _ in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least two samples"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)))
