"""Paired comparisons against SciPy, and corrections against their definitions."""

import numpy as np
import pytest
from scipy import stats

from histoforge.metrics.compare import holm, nested_holm, paired_effect, sample_std

BASELINE = [0.80, 0.82, 0.79, 0.81, 0.83, 0.80, 0.78]
ARM = [0.83, 0.84, 0.83, 0.82, 0.85, 0.84, 0.79]


def test_t_test_and_interval_equal_scipy():
    effect = paired_effect(ARM, BASELINE)
    expected = stats.ttest_rel(ARM, BASELINE)
    interval = expected.confidence_interval(0.95)
    assert effect.p == pytest.approx(expected.pvalue)
    assert effect.low == pytest.approx(interval.low)
    assert effect.high == pytest.approx(interval.high)
    assert effect.difference == pytest.approx(np.mean(ARM) - np.mean(BASELINE))
    assert effect.n == 7


def test_the_standard_deviation_is_that_of_a_sample():
    assert sample_std(ARM) == pytest.approx(np.std(ARM, ddof=1))
    assert sample_std([0.5]) is None


def test_holms_correction_of_a_known_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_one_seed_and_equal_differences_have_no_test():
    single = paired_effect([0.9], [0.8])
    assert single.p is None
    equal = paired_effect([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert equal.p == 1.0
    constant = paired_effect([0.6, 0.7, 0.8], [0.5, 0.6, 0.7])
    assert constant.p is None


def test_arms_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match="pair them by seed"):
        paired_effect([0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match="not finite"):
        paired_effect([0.1, np.nan], [0.1, 0.2])


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03, 0.2], [0.2, 0.2, 0.001], [0.5], [0.02, None, 0.03]])
def test_nested_correction_of_equal_pairs_is_holms(p_values):
    assert nested_holm(p_values, p_values) == (pytest.approx(holm(p_values)), pytest.approx(holm(p_values)))


def test_the_harder_hypotheses_cost_the_others_no_power():
    first, harder = [0.01, 0.015, 0.03], [0.02, 0.4, 0.03]
    adjusted, adjusted_harder = nested_holm(first, harder)
    assert adjusted_harder == pytest.approx(holm(harder))
    assert adjusted == pytest.approx([0.03, 0.045, 0.06])
    alone, _ = nested_holm([0.01, 0.015, 0.03], [0.01, 0.015, 0.03])
    assert alone[2] < adjusted[2]
    assert nested_holm([0.01, 0.02], [None, 0.02]) == ([0.02, 0.04], [None, 0.04])


def test_nested_correction_holds_its_error_rate():
    """One pair is null in full, one in its harder hypothesis alone, one in none."""
    rng = np.random.default_rng(0)
    z, z_harder = (rng.normal(means, size=(4000, 3)) for means in ([0, 4, 5], [5, 0, 5]))
    errors = 0
    for first, second in zip(1 - stats.norm.cdf(z), 1 - stats.norm.cdf(z_harder), strict=True):
        adjusted, adjusted_harder = nested_holm(first.tolist(), np.maximum(first, second).tolist())
        errors += adjusted[0] < 0.05 or adjusted_harder[0] < 0.05 or adjusted_harder[1] < 0.05
    assert 0.035 <= errors / 4000 <= 0.06
