"""The answer claims what the numbers show, and no more."""

import numpy as np
import pytest
from made_up import make_study

from histoforge.evaluation.findings import Difference
from histoforge.metrics.results import Effect
from histoforge.reports.text.study_answer import answer, judge


def effect(
    difference: float, low: float, high: float, p: float, n: int, unit: str, p_adjusted: float | None = None
) -> Effect:
    return Effect(difference=difference, low=low, high=high, p=p, p_adjusted=p_adjusted, n=n, unit=unit)


def test_a_clear_gain_is_called_better_with_its_size_and_interval():
    study = make_study({"baseline": 0.5, "traditional": 0.6, "selective": 2.0})
    said = answer(study, patches=480, units=12)
    gain = study.arm("selective").scores["accuracy"].mean - study.arm("baseline").scores["accuracy"].mean
    assert said.verdict == "better"
    assert said.best == "selective"
    assert f"{gain * 100:.1f} percentage points above baseline in accuracy" in said.headline
    assert "480 patches of 12 patients" in said.lines[0]
    low, high = said.difference.over_patients.low, said.difference.over_patients.high
    assert f"{low * 100:+.1f} to {high * 100:+.1f} points" in said.lines[0]


def test_equal_arms_differ_by_nothing():
    said = answer(make_study({"baseline": 1.0, "gan": 1.0, "selective": 1.0}), 480, 12)
    assert said.verdict == "no_difference"
    assert said.headline.startswith("No difference found")
    assert "Does choosing help over taking any synthetic patch?" in said.lines[-1]


def test_a_loss_is_called_a_loss():
    said = answer(make_study({"baseline": 2.0, "selective": 0.3}), 480, 12)
    assert said.verdict == "worse"
    assert "below baseline" in said.headline


@pytest.mark.parametrize(
    ("patients", "seeds", "named"), [(4, 5, "test patients (4)"), (12, 2, "seeds (2)"), (3, 1, "seeds (1)")]
)
def test_few_patients_or_seeds_are_too_few_to_tell_however_large_the_gain(patients, seeds, named):
    said = answer(
        make_study({"baseline": 0.2, "selective": 3.0}, patients=patients, seeds=seeds), 40 * patients, patients
    )
    assert said.verdict == "too_few"
    assert named in said.headline
    assert "helps. Seen here" in said.headline


def test_seeds_and_patients_must_agree():
    sure = effect(0.1, 0.05, 0.15, 0.001, 12, "patients", 0.004)
    unsure = effect(0.1, -0.05, 0.25, 0.2, 5, "seeds", 0.4)
    assert judge(Difference("a", "b", "accuracy", sure, effect(0.1, 0.02, 0.2, 0.01, 5, "seeds", 0.02))) == "better"
    assert judge(Difference("a", "b", "accuracy", sure, unsure)) == "no_difference"
    corrected_away = effect(0.1, 0.02, 0.2, 0.02, 5, "seeds", 0.08)
    assert judge(Difference("a", "b", "accuracy", sure, corrected_away)) == "no_difference"
    assert judge(Difference("a", "b", "accuracy", sure, None)) == "too_few"


def test_the_best_synthetic_arm_is_named_where_another_arm_wins():
    said = answer(make_study({"baseline": 0.5, "traditional": 2.0, "gan": 0.6}), 480, 12)
    assert said.best == "traditional"
    assert any("best arm with synthetic patches is gan" in line for line in said.lines)


def test_one_arm_is_reported_without_a_comparison():
    study = make_study({"baseline": 1.0})
    said = answer(study, 480, 12)
    assert said.verdict == "no_comparison"
    assert said.difference is None
    assert f"{study.arms[0].scores['accuracy'].mean:.3f}" in said.headline


def test_arms_of_a_training_fraction_are_judged_beside_their_own_baseline():
    said = answer(
        make_study({"baseline_5pct": 0.3, "selective_5pct": 0.9, "baseline_20pct": 2.5, "selective_20pct": 2.5}),
        480,
        12,
    )
    assert (said.best, said.reference) == ("selective_20pct", "baseline_20pct")
    assert said.verdict == "no_difference"


def test_an_auc_is_not_told_in_percentage_points():
    said = answer(make_study({"baseline": 0.5, "selective": 2.0}, score="auc"), 480, 12)
    assert "percentage" not in said.headline
    assert "in AUC" in said.headline


def test_differences_are_paired_by_the_seeds_that_both_arms_have():
    study = make_study({"baseline": 0.5, "selective": 0.9})
    found = study.difference("selective", "accuracy")
    mine, theirs = (np.array(study.arm(name).scores["accuracy"].seeds) for name in ("selective", "baseline"))
    np.testing.assert_allclose(found.over_seeds.difference, (mine - theirs).mean())
    np.testing.assert_allclose(found.over_patients.difference, mine.mean() - theirs.mean())


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("single_filter", "single filter"),
        ("selective_r0_5_pool4n", "selective r=0.5 of 4N"),
        ("single_filter_r1_pool2_5n", "single filter r=1 of 2.5N"),
        ("baseline_12_5pct", "baseline at 12.5%"),
        ("resnet_r2", "resnet r2"),
    ],
)
def test_arms_of_a_study_are_called_by_what_was_varied(name, title):
    study = make_study({name: 0.5}, patients=2, seeds=1, patches=4)
    assert study.title(name) == title


def test_many_arms_get_resamples_enough_to_pass_the_correction():
    study = make_study({"baseline": 0.3} | {f"arm{i}": 2.0 for i in range(12)}, seeds=3, patches=8)
    p = study.difference("arm3", "accuracy").over_patients.p_adjusted
    assert p == pytest.approx(12 * 2 / (13 * 200 + 1))
