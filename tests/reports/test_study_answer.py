"""The answer claims what the numbers show, and no more."""

import numpy as np
import pytest
from made_up import make_study

from histoforge.evaluation.study_findings import Difference
from histoforge.metrics.results import Effect
from histoforge.reports.text.study_answer import difference_verdict, study_answer


def effect(
    difference: float, low: float, high: float, p: float, n: int, unit: str, p_adjusted: float | None = None
) -> Effect:
    return Effect(difference=difference, low=low, high=high, p=p, p_adjusted=p_adjusted, n=n, unit=unit)


def test_a_clear_gain_is_called_better_with_its_size_and_interval():
    study = make_study({"baseline": 0.5, "traditional": 0.6, "selective": 2.0})
    answer = study_answer(study, patches=480, units=12)
    gain = study.arm("selective").scores["accuracy"].mean - study.arm("baseline").scores["accuracy"].mean
    assert answer.verdict == "better"
    assert answer.best == "selective"
    assert f"Selective is {gain * 100:.1f} percentage points above baseline in accuracy" in answer.headline
    assert "significant over patients and seeds" in answer.headline
    assert "480 patches of 12 patients" in answer.lines[0]
    low, high = answer.difference.over_patients.low, answer.difference.over_patients.high
    assert f"{low * 100:+.1f} to {high * 100:+.1f} points" in answer.lines[0]


def test_equal_arms_have_no_difference():
    answer = study_answer(make_study({"baseline": 1.0, "gan": 1.0, "selective": 1.0}), 480, 12)
    assert answer.verdict == "no_difference"
    assert answer.headline.startswith("No difference found")
    assert "Selected patches compared with unselected ones: selective is" in answer.lines[-1]
    assert "no difference found" in answer.lines[-1]


def test_a_loss_is_called_a_loss():
    answer = study_answer(make_study({"baseline": 2.0, "selective": 0.3}), 480, 12)
    assert answer.verdict == "worse"
    assert answer.headline.startswith("No arm helps: even the best, selective, is ")
    assert "below baseline" in answer.headline


@pytest.mark.parametrize(
    ("patients", "seeds", "expected"), [(4, 5, "test patients (4)"), (12, 2, "seeds (2)"), (3, 1, "seeds (1)")]
)
def test_few_patients_or_seeds_are_too_few_to_tell_however_large_the_gain(patients, seeds, expected):
    study = make_study({"baseline": 0.2, "selective": 3.0}, patients=patients, seeds=seeds)
    answer = study_answer(study, 40 * patients, patients)
    assert answer.verdict == "too_few"
    assert expected in answer.headline
    assert "helps. In this test split, selective is" in answer.headline


def test_seeds_and_patients_must_agree():
    sure = effect(0.1, 0.05, 0.15, 0.001, 12, "patients", 0.004)
    unsure = effect(0.1, -0.05, 0.25, 0.2, 5, "seeds", 0.4)
    sure_over_seeds = effect(0.1, 0.02, 0.2, 0.01, 5, "seeds", 0.02)
    corrected_away = effect(0.1, 0.02, 0.2, 0.02, 5, "seeds", 0.08)
    verdicts = [
        difference_verdict(Difference("a", "b", "accuracy", sure, over_seeds))
        for over_seeds in (sure_over_seeds, unsure, corrected_away, None)
    ]
    assert verdicts == ["better", "no_difference", "no_difference", "too_few"]


def test_the_best_synthetic_arm_is_named_if_another_arm_wins():
    answer = study_answer(make_study({"baseline": 0.5, "traditional": 2.0, "gan": 0.6}), 480, 12)
    assert answer.best == "traditional"
    assert any("best arm with synthetic patches, gan, is" in line for line in answer.lines)


def test_one_arm_is_reported_without_a_comparison():
    study = make_study({"baseline": 1.0})
    answer = study_answer(study, 480, 12)
    assert answer.verdict == "no_comparison"
    assert answer.difference is None
    assert answer.reference == "baseline"
    assert f"{study.arms[0].scores['accuracy'].mean:.3f} (95% interval" in answer.headline


def test_arms_of_a_training_fraction_are_compared_with_their_own_baseline():
    skills = {"baseline_5pct": 0.3, "selective_5pct": 0.9, "baseline_20pct": 2.5, "selective_20pct": 2.5}
    answer = study_answer(make_study(skills), 480, 12)
    assert (answer.best, answer.reference) == ("selective_20pct", "baseline_20pct")
    assert "No difference found: selective at 20% is" in answer.headline


def test_differences_of_an_auc_are_not_in_percentage_points():
    answer = study_answer(make_study({"baseline": 0.5, "selective": 2.0}, score="auc"), 480, 12)
    assert "percentage" not in answer.headline
    assert "in AUC" in answer.headline


def test_differences_are_paired_by_the_seeds_that_both_arms_have():
    study = make_study({"baseline": 0.5, "selective": 0.9})
    difference = study.difference("selective", "accuracy")
    selective, baseline = (np.array(study.arm(name).scores["accuracy"].seeds) for name in ("selective", "baseline"))
    np.testing.assert_allclose(difference.over_seeds.difference, (selective - baseline).mean())
    np.testing.assert_allclose(difference.over_patients.difference, selective.mean() - baseline.mean())


def test_many_arms_get_enough_resamples_to_pass_the_correction():
    study = make_study({"baseline": 0.3} | {f"arm{i}": 2.0 for i in range(12)}, seeds=3, patches=8)
    p = study.difference("arm3", "accuracy").over_patients.p_adjusted
    assert p == pytest.approx(12 * 2 / (13 * 200 + 1))
