"""Paired comparisons against SciPy and statsmodels' definitions, and the sentences that they allow."""

import itertools

import numpy as np
import pytest
from scipy import stats

from histoforge.metrics.compare import compare_arms, compare_paired, holm, sign_flip_p, verdict
from histoforge.metrics.results import Effect

BASE = [0.80, 0.82, 0.79, 0.81, 0.83, 0.80, 0.78]
ARM = [0.83, 0.84, 0.83, 0.82, 0.85, 0.84, 0.79]


def test_t_test_and_interval_equal_scipy():
    found = compare_paired("arm", ARM, "baseline", BASE)
    expected = stats.ttest_rel(ARM, BASE)
    interval = expected.confidence_interval(0.95)
    assert found.effect.p == pytest.approx(expected.pvalue)
    assert found.effect.low == pytest.approx(interval.low)
    assert found.effect.high == pytest.approx(interval.high)
    assert found.mean == pytest.approx(np.mean(ARM))
    assert found.deviation == pytest.approx(np.std(ARM, ddof=1))
    assert found.effect.n == 7


def test_sign_flips_equal_all_permutations_and_scipy():
    differences = np.random.default_rng(0).normal(size=7) + 0.4
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((1, -1), repeat=7)]
    by_hand = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences) == pytest.approx(by_hand)
    scipy = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(differences) == pytest.approx(scipy.pvalue)


def test_many_seeds_are_flipped_at_random_and_never_give_zero():
    differences = np.random.default_rng(1).normal(size=25) + 0.3
    p = sign_flip_p(differences)
    assert p == sign_flip_p(differences)
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=0.3)
    assert sign_flip_p(np.ones(40)) == pytest.approx(1 / 100_001)


def test_wilcoxon_equals_scipy_and_is_left_out_where_it_is_not_exact():
    differences = np.array([0.011, 0.022, 0.033, -0.004, 0.055, 0.066])
    found = compare_paired("arm", differences, "baseline", np.zeros(6))
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)
    assert compare_paired("arm", differences[:5], "baseline", np.zeros(5)).p_wilcoxon is None
    assert compare_paired("arm", [*differences, 0.0], "baseline", np.zeros(7)).p_wilcoxon is None
    assert compare_paired("arm", [*differences, 0.066], "baseline", np.zeros(7)).p_wilcoxon is None


def test_holms_correction_of_a_known_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_arms_are_corrected_together():
    values = {"baseline": BASE, "gan": ARM, "selective": [value + 0.001 for value in ARM]}
    found = compare_arms(values, "baseline")
    assert [comparison.arm for comparison in found] == ["gan", "selective"]
    raw = [comparison.effect.p for comparison in found]
    assert [comparison.effect.p_adjusted for comparison in found] == pytest.approx(holm(raw))


@pytest.mark.parametrize(
    ("effect", "options", "sentence"),
    [
        (
            {"difference": 0.021, "low": 0.004, "high": 0.038, "p": 0.02, "n": 10},
            {},
            "better by 2.1 points (95% CI 0.4 to 3.8; p = 0.02; 10 seeds)",
        ),
        (
            {"difference": 0.021, "low": 0.004, "high": 0.038, "p": 0.0002, "n": 10},
            {"higher_is_better": False},
            "worse by 2.1 points (95% CI 0.4 to 3.8; p < 0.001; 10 seeds)",
        ),
        (
            {"difference": -3.0, "low": -5.0, "high": -1.0, "p": 0.01, "n": 40, "unit": "patients"},
            {"higher_is_better": False, "scale": 1.0, "unit": "FID"},
            "better by 3.0 FID (95% CI 1.0 to 5.0; p = 0.01; 40 patients)",
        ),
        (
            {"difference": -0.02, "low": -0.03, "high": -0.01, "p": 0.01, "n": 5},
            {},
            "worse by 2.0 points (95% CI 1.0 to 3.0; p = 0.01; 5 seeds)",
        ),
        (
            {"difference": 0.003, "low": -0.008, "high": 0.014, "p": 0.55, "n": 5},
            {},
            "no difference found: +0.3 points (95% CI -0.8 to 1.4; p = 0.55; 5 seeds)",
        ),
        (
            {"difference": 0.021, "low": 0.004, "high": 0.038, "p": 0.02, "p_adjusted": 0.08, "n": 10},
            {},
            "no difference found: +2.1 points (95% CI 0.4 to 3.8; p = 0.08 after Holm's correction; 10 seeds)",
        ),
        (
            {"difference": 0.1, "low": 0.09, "high": 0.11, "p": 0.001, "n": 2},
            {},
            "too few seeds to tell (2 seeds, at least 3 are needed; seen: +10.0 points)",
        ),
        (
            {"difference": 0.1, "low": None, "high": None, "p": None, "n": 1, "unit": "patients"},
            {},
            "too few patients to tell (1 patient, at least 5 are needed; seen: +10.0 points)",
        ),
        (
            {"difference": None, "low": None, "high": None, "p": None, "n": 9, "note": "a class is missing"},
            {},
            "cannot be compared (a class is missing)",
        ),
    ],
)
def test_the_verdict_claims_no_more_than_is_shown(effect, options, sentence):
    assert verdict(Effect(**{"unit": "seeds", **effect}), **options) == sentence


def test_one_seed_and_equal_differences_claim_nothing():
    one = compare_paired("arm", [0.9], "baseline", [0.8])
    assert (one.effect.p, one.deviation, one.p_sign_flip) == (None, None, None)
    assert verdict(one.effect).startswith("too few seeds")
    equal = compare_paired("arm", [0.5, 0.6, 0.7], "baseline", [0.5, 0.6, 0.7])
    assert equal.effect.p == 1.0
    assert verdict(equal.effect).startswith("no difference found")
    constant = compare_paired("arm", [0.6, 0.7, 0.8], "baseline", [0.5, 0.6, 0.7])
    assert constant.effect.p is None
    assert verdict(constant.effect).startswith("no test possible: +10.0 points")


def test_arms_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match="pair them by seed"):
        compare_paired("arm", [0.1, 0.2], "baseline", [0.1])
    with pytest.raises(ValueError, match="not finite"):
        compare_paired("arm", [0.1, np.nan], "baseline", [0.1, 0.2])
