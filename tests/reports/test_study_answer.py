"""The answer claims what the numbers show, and no more."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made_up import make_findings, make_study

from histoforge.metrics.compare import holm
from histoforge.metrics.crossed import ALONE_IN_A_CLASS, CrossedEffect
from histoforge.reports.text.caveats import study_caveats
from histoforge.reports.text.study_answer import study_answer
from histoforge.reports.text.study_verdicts import effect_verdict


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
    assert "after Holm's correction; P(better) " in answer.lines[-1]


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
    assert effect_verdict(effect) == expected


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


def test_an_answer_of_a_cross_validation_counts_one_generator_per_fold():
    study = make_study({"baseline": 0.5, "gan": 0.6})
    study.arms[:] = [replace(arm, folds=[0, 1]) for arm in study.arms]
    line = study_answer(study, 480, 12).lines[1]
    assert "one generator per fold, so the result holds for these only" in line


def test_the_best_synthetic_arm_is_named_if_another_arm_wins():
    answer = study_answer(make_study({"baseline": 0.5, "traditional": 2.0, "gan": 0.52}), 480, 12)
    assert answer.best == "traditional"
    assert any("best arm with synthetic patches, gan, is" in line for line in answer.lines)


def claims_in(answer) -> list[str]:
    """Words of the answer that claim something about a difference."""
    text = " ".join([answer.headline, *answer.lines])
    return [claim for claim in ("better", "worse", "No difference", "no difference", "significant") if claim in text]


@pytest.mark.parametrize("score", ["accuracy", "balanced_accuracy", "auc"])
def test_a_study_in_which_nothing_was_learned_claims_nothing(score):
    study = make_study({"baseline": 0.0, "traditional": 0.0, "gan": 0.0, "selective": 0.0}, score=score)
    answer = study_answer(study, 480, 12)
    assert answer.verdict == "not_learned"
    assert answer.headline.startswith("These classifiers are not shown to have learned anything (")
    assert "guessing reaches 0.50): this study cannot answer." in answer.headline
    assert claims_in(answer) == []
    assert "Epochs kept, of those run: baseline 3, 3, 3, 3, 3 of 4; traditional" in answer.lines[-1]


def test_no_claim_is_made_of_an_arm_that_did_not_learn():
    study = make_study({"baseline": 0.5, "gan": 0.0, "selective": 1.0})
    answer = study_answer(study, 480, 12)
    assert (answer.verdict, answer.best) == ("better", "selective")
    assert (
        "Gan is not shown to have learned anything (balanced accuracy 0.50, and guessing reaches 0.50)"
        in answer.headline
    )
    assert "so no claim is made of it" in answer.headline
    (selection,) = [line for line in answer.lines if line.startswith("Selected patches")]
    assert "no claim" in selection
    assert "p " not in selection
    only = study_answer(make_study({"baseline": 0.5, "gan": 0.0}), 480, 12)
    assert only.verdict == "not_learned"
    assert claims_in(only) == []


def test_nothing_is_compared_with_a_reference_that_did_not_learn():
    answer = study_answer(make_study({"baseline": 0.0, "gan": 1.0}), 480, 12)
    assert answer.verdict == "not_learned"
    assert answer.headline.startswith("Baseline is not shown to have learned anything (")
    assert answer.headline.endswith("there is nothing to compare with: this study cannot answer.")
    assert claims_in(answer) == []


def test_an_only_arm_that_did_not_learn_is_named():
    assert "Baseline is not shown to have learned" in study_answer(make_study({"baseline": 0.0}), 480, 12).headline
    assert "not shown" not in study_answer(make_study({"baseline": 1.0}), 480, 12).headline


def test_an_arm_below_the_majority_rate_is_a_caveat_even_if_it_learned():
    """Three of four patches are normal: an arm that tells classes apart a little is still below always answering so."""
    study = make_study({"baseline": 0.6, "gan": 3.0}, labels=[0, 0, 0, 1])
    assert study.constant.scores == pytest.approx({"accuracy": 0.75, "balanced_accuracy": 0.5, "auc": 0.5})
    assert study.learned("baseline") is study.learned("gan") is True
    assert study.arm("baseline").above_constant["accuracy"].p_above > 0.9
    (caveat,) = study_caveats(make_findings(study))
    assert caveat.startswith("Always answering 'normal' would classify at least as many test patches correctly (0.750)")
    assert "baseline (0." in caveat
    assert "gan" not in caveat


def test_a_perfect_arm_learned():
    assert make_study({"baseline": 50.0}).learned("baseline") is True


def test_too_few_patients_do_not_show_whether_an_arm_learned():
    study = make_study({"baseline": 0.0, "gan": 0.0}, patients=4)
    assert study.learned("gan") is None
    assert study_answer(study, 160, 4).verdict == "too_few"


def test_a_synthetic_arm_must_beat_every_arm_without_synthetic_patches():
    study = make_study({"baseline": 0.5, "traditional": 0.7, "selective": 1.2})
    answer = study_answer(study, 480, 12)
    assert (answer.verdict, answer.best) == ("better", "selective")
    assert "it beats every arm without synthetic patches" in answer.headline
    (line,) = [line for line in answer.lines if line.startswith("Hardest to beat of the 2 arms without")]
    assert "is traditional: selective is" in line
    assert "p < 0.001 against all of them" in line


@pytest.mark.parametrize(
    ("traditional", "expected"),
    [(1.15, "but it is not shown to be better than traditional"), (2.0, "percentage points below traditional")],
)
def test_a_gain_over_the_reference_alone_is_no_gain_of_synthetic_patches(traditional, expected):
    answer = study_answer(make_study({"baseline": 0.5, "traditional": traditional, "selective": 1.2}), 480, 12)
    assert (answer.verdict, answer.best) == ("better_than_reference", "selective")
    assert "above baseline in accuracy, which is significant" in answer.headline
    assert expected in answer.headline
    assert answer.headline.endswith("traditional, which has no synthetic patches.")


def test_an_arm_without_synthetic_patches_does_not_answer_whether_they_help():
    answer = study_answer(make_study({"baseline": 0.5, "traditional": 2.0, "gan": 0.5}), 480, 12)
    assert (answer.verdict, answer.best) == ("better_than_reference", "traditional")
    assert "but no arm with synthetic patches is shown to be better" in answer.headline
    assert study_answer(make_study({"baseline": 0.5, "traditional": 2.0}), 480, 12).verdict == "better"


def test_the_test_against_all_rests_on_the_hardest_rival_and_not_on_the_best_mean():
    study = make_study({"baseline": 0.5, "traditional": 0.7, "other": 0.71, "selective": 0.8})
    tested = study.beaten("selective", "accuracy")
    assert tested.rivals == ["baseline", "traditional", "other"]
    alone = {rival: crossed_p(study, rival) for rival in tested.rivals}
    assert tested.effect.p == max(alone.values()) == alone[tested.closest]
    assert tested.effect.p_adjusted >= tested.effect.p


def crossed_p(study, rival):
    """The p-value of selective against another arm, from a study with this arm as the reference."""
    skills = {"baseline": 0.5, "traditional": 0.7, "other": 0.71, "selective": 0.8}
    return next(
        each.overall.p
        for each in make_study(skills, reference=rival).differences
        if (each.arm, each.against, each.score) == ("selective", rival, "accuracy")
    )


def test_a_positive_control_is_neither_judged_nor_a_rival():
    study = make_study({"baseline": 0.5, "selective": 0.6, "control_15": 3.0})
    answer = study_answer(study, 480, 12)
    assert answer.best == "selective"
    assert study.beaten("selective", "accuracy") is None
    effects = [each.overall for each in study.differences if (each.arm, each.score) == ("selective", "accuracy")]
    assert effects[0].p_adjusted == effects[0].p
    assert study.difference("control_15", "accuracy").overall.p_adjusted is None


def test_the_detectable_difference_grows_with_the_number_of_comparisons():
    few = make_study({"baseline": 0.5, "gan": 0.6}).difference("gan", "accuracy").overall
    skills = {"baseline": 0.5, "gan": 0.6, "single": 0.6, "selective": 0.7}
    many = make_study(skills).difference("gan", "accuracy").overall
    assert many.detectable / many.std_error > 1.1 * few.detectable / few.std_error


def test_the_answer_gives_the_probability_of_better_and_the_numbers_it_rests_on():
    line = study_answer(make_study({"baseline": 0.5, "gan": 0.55}), 480, 12).lines[1]
    assert line.startswith("One analysis over 12 patients, 5 seeds and 1 generator: p = ")
    assert re.search(r"P\(better\), taken alone: (over )?\d+%", line)


def test_no_sentence_says_that_chance_explains_a_difference():
    for skills in ({"baseline": 0.5, "gan": 0.45}, {"baseline": 0.5, "gan": 0.5}, {"baseline": 0.9, "gan": 0.5}):
        answer = study_answer(make_study(skills), 480, 12)
        effect = answer.difference.overall
        assert "chance" not in " ".join([answer.headline, *answer.lines])
        assert (answer.verdict == "no_difference") == (effect.low <= 0 <= effect.high) == (effect.p_adjusted >= 0.05)


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
