"""The patient bootstrap: what is drawn, what the intervals cover, and what happens where a class is not drawn."""

import itertools

import numpy as np
import pytest

from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import statistic

PATIENTS = np.repeat([f"p{i}" for i in range(12)], np.arange(1, 13))


def mean_of(values: np.ndarray):
    return lambda weights: weights @ values / weights.sum(1)


def test_patients_are_drawn_whole():
    bootstrap = PatientBootstrap(PATIENTS, n_resamples=50)
    seen = []
    bootstrap.values(lambda weights: (seen.append(weights), weights.sum(1))[1])
    weights = np.concatenate(seen)
    for patient in np.unique(PATIENTS):
        draws = weights[:, patient == PATIENTS]
        assert (draws == draws[:, :1]).all()
    drawn = np.stack([weights[:, patient == PATIENTS][:, 0] for patient in np.unique(PATIENTS)], axis=1)
    assert (drawn.sum(1) == 12).all()


def test_interval_equals_a_plain_bootstrap_over_patient_means():
    """With equally large patients the mean over patches is the mean over patients."""
    rng = np.random.default_rng(0)
    per_patient = rng.normal(size=40)
    patients, values = np.repeat(np.arange(40), 3), np.repeat(per_patient, 3)
    result = PatientBootstrap(patients, n_resamples=4000).interval(mean_of(values))
    drawn = per_patient[rng.integers(0, 40, (4000, 40))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert result.value == pytest.approx(per_patient.mean())
    assert result.low == pytest.approx(low, abs=0.03)
    assert result.high == pytest.approx(high, abs=0.03)


def test_blocks_of_resamples_change_nothing(monkeypatch):
    values = np.arange(len(PATIENTS), dtype=float)
    whole = PatientBootstrap(PATIENTS, 30).values(mean_of(values))
    monkeypatch.setattr("histoforge.metrics.bootstrap.WEIGHT_ELEMENTS", 200)
    np.testing.assert_allclose(PatientBootstrap(PATIENTS, 30).values(mean_of(values)), whole)
    assert not np.allclose(PatientBootstrap(PATIENTS, 30, seed=1).values(mean_of(values)), whole)


def test_the_difference_is_paired():
    """Two arms that differ by a constant differ by it in every resample, however much each one varies."""
    values = np.random.default_rng(2).normal(size=len(PATIENTS)) * 10
    bootstrap = PatientBootstrap(PATIENTS, 200)
    effect = bootstrap.difference(mean_of(values + 0.5), mean_of(values))
    assert effect.difference == pytest.approx(0.5)
    assert (effect.low, effect.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert effect.p == pytest.approx(2 / 201)
    assert (effect.n, effect.unit) == (12, "patients")


def test_no_difference_has_a_p_value_of_one():
    values = np.random.default_rng(3).normal(size=len(PATIENTS))
    assert PatientBootstrap(PATIENTS, 100).difference(mean_of(values), mean_of(values)).p == 1.0


def test_the_difference_is_found_about_as_often_as_the_level_says_where_there_is_none():
    detected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first, second = rng.normal(size=(2, 30))
        effect = PatientBootstrap(np.arange(30), 300, seed=seed).difference(mean_of(first), mean_of(second))
        detected += not effect.low <= 0 <= effect.high
    assert 2 <= detected <= 24


def test_resamples_without_a_class_are_left_out_and_counted():
    labels = np.repeat([0, 1], [10, 2])
    patients = np.arange(12)
    probabilities = np.stack([1 - np.linspace(0.1, 0.9, 12), np.linspace(0.1, 0.9, 12)], axis=1)
    result = PatientBootstrap(patients, 1000).interval(statistic("auc", probabilities, labels))
    expected = 1000 * ((10 / 12) ** 12 + (2 / 12) ** 12)
    assert result.undefined == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert result.low is not None
    assert "lack a class" in result.note


def test_no_interval_where_most_resamples_lack_a_class():
    """Five patients, three of whom have a class of their own: 1,230 of the 3,125 resamples hold all classes."""
    rng = np.random.default_rng(0)
    auc = statistic("auc", rng.dirichlet([1, 1, 1, 1], 5), np.array([0, 1, 2, 3, 3]))
    lacking = PatientBootstrap(list("abcde"), 2000).interval(auc)
    held = [set(draw) >= {0, 1, 2} and bool(set(draw) & {3, 4}) for draw in itertools.product(range(5), repeat=5)]
    assert lacking.undefined == pytest.approx(2000 * (1 - np.mean(held)), abs=80)
    assert (lacking.low, lacking.high) == (None, None)
    assert "lack a class" in lacking.note
    single = PatientBootstrap(["a"] * 5, 50).interval(auc)
    assert (single.low, single.high, single.note) == (None, None, "1 patient is too few for an interval")
    assert single.value is not None


@pytest.mark.parametrize("patients", [2, 3, 4])
def test_few_patients_give_no_interval_but_the_reason(patients):
    values = np.arange(float(patients))
    bootstrap = PatientBootstrap(np.arange(patients), 50)
    interval = bootstrap.interval(mean_of(values))
    assert (interval.value, interval.low, interval.high) == (values.mean(), None, None)
    assert f"{patients} patients are too few for an interval" in interval.note
    effect = bootstrap.difference(mean_of(values), mean_of(values**2))
    assert (effect.low, effect.high, effect.p) == (None, None, None)
    assert PatientBootstrap(np.arange(5), 50).interval(mean_of(np.arange(5.0))).low is not None


def test_the_mean_over_seeds_is_a_statistic():
    first, second = np.arange(3.0), np.arange(3.0) * 2
    weights = np.array([[1.0, 0, 2]])
    assert mean_statistic([mean_of(first), mean_of(second)])(weights) == pytest.approx((4 / 3 + 8 / 3) / 2)
