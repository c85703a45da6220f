"""The answer claims what the numbers show, and no more."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import make_study

from histoforge.evaluation.study_findings import Difference
from histoforge.metrics.compare import holm
from histoforge.metrics.crossed import ALONE_IN_A_CLASS, CrossedEffect
from histoforge.metrics.results import Effect
from histoforge.reports.text.study_answer import difference_verdict, study_answer


def overall(difference: float, p: float, p_adjusted: float | None = None, **size: object) -> CrossedEffect:
    counts = {"patients": 12, "generators": 1, "runs": 5, "reference_runs": 5, **size}
    return CrossedEffect(difference=difference, low=difference - 0.1, high=0.2, p=p, p_adjusted=p_adjusted, **counts)


def test_a_clear_gain_is_called_better_with_its_size_and_interval():
    study = make_study({"baseline": 0.5, "traditional": 0.6, "selective": 2.0})
    answer = study_answer(study, patches=480, units=12)
    gain = study.arm("selective").scores["accuracy"].mean - study.arm("baseline").scores["accuracy"].mean
    assert answer.verdict == "better"
    assert answer.best == "selective"
    assert f"Selective is {gain * 100:.1f} percentage points above baseline in accuracy" in answer.headline
    assert "significant over patients and training runs" in answer.headline
    assert "480 patches of 12 patients" in answer.lines[0]
    low, high = answer.difference.overall.low, answer.difference.overall.high
    assert f"{low * 100:+.1f} to {high * 100:+.1f} points" in answer.lines[0]


def test_equal_arms_have_no_difference():
    answer = study_answer(make_study({"baseline": 1.0, "gan": 1.0, "selective": 1.0}), 480, 12)
    assert answer.verdict == "no_difference"
    assert answer.headline.startswith("No difference found")
    assert "Selected patches compared with unselected ones: selective is" in answer.lines[-1]
    assert "no difference found" in answer.lines[-1]
    assert "after Holm's correction)." in answer.lines[-1]


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


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (overall(0.1, 0.01, 0.02), "better"),
        (overall(-0.1, 0.01, 0.02), "worse"),
        (overall(0.1, 0.02, 0.08), "no_difference"),
        (overall(0.1, 0.3), "no_difference"),
        (overall(0.1, 0.001, patients=4), "too_few"),
        (overall(0.1, 0.001, reference_runs=2), "too_few"),
        (overall(0.1, 0.001, note=ALONE_IN_A_CLASS), "too_few"),
    ],
)
def test_the_verdict_follows_the_corrected_comparison(effect, expected):
    unused = Effect(difference=0.1, low=None, high=None, p=None, n=1, unit="patients")
    assert difference_verdict(Difference("a", "b", "accuracy", unused, None, effect)) == expected


def test_every_arm_is_judged_and_the_best_of_the_better_leads():
    """The arm with the highest mean may be the one whose seeds differ most."""
    study = make_study({"baseline": 0.3, "gan": 1.0, "selective": 1.2})
    for index, difference in enumerate(study.differences):
        if (difference.arm, difference.score) == ("selective", "accuracy"):
            unsure = difference.overall.model_copy(update={"p_adjusted": 0.2})
            study.differences[index] = replace(difference, overall=unsure)
    answer = study_answer(study, 480, 12)
    assert study.arm("selective").scores["accuracy"].mean > study.arm("gan").scores["accuracy"].mean
    assert (answer.verdict, answer.best) == ("better", "gan")


def test_all_comparisons_share_one_correction():
    study = make_study({"baseline": 0.3, "gan": 0.5, "selective": 0.6})
    effects = [each.overall for each in study.differences if each.score == "accuracy"]
    assert len(effects) == 3
    assert [e.p_adjusted for e in effects] == holm([e.p for e in effects])


def test_an_answer_gives_the_detectable_difference_and_the_number_of_generators():
    line = study_answer(make_study({"baseline": 0.5, "gan": 0.6}), 480, 12).lines[1]
    assert "is found with a power of 80%." in line
    assert "one generator, so the result holds for this one only" in line
    without = study_answer(make_study({"baseline": 0.5, "traditional": 0.6}), 480, 12).lines[1]
    assert "generator" not in without


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
    skills = {"baseline_5pct": 0.5, "selective_5pct": 0.5, "baseline_20pct": 2.5, "selective_20pct": 2.5}
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
