"""The answer of a study: which arm, by how much, how certain, and on how many patches and patients."""

from collections.abc import Sequence
from dataclasses import dataclass

from histoforge.core.text import counted
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, Difference, StudyFindings
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.metrics.crossed import CrossedEffect
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.formatting import (
    UNDEFINED,
    amount,
    better_text,
    effect_interval,
    p_value,
    score_name,
    size_text,
    study_size,
    value_text,
)
from histoforge.reports.text.learning import epochs_line, sentence_case, unlearned_text
from histoforge.reports.text.study_verdicts import (
    VERDICTS,
    StudyVerdict,
    best_arm,
    overall,
    required_difference,
    shortages,
    study_verdict,
    verdict_of,
)


@dataclass(frozen=True)
class StudyAnswer(Answer):
    """The first lines of a study's report.

    Attributes:
        best: the arm that the answer speaks of (see `study_verdicts.study_verdict`); the only arm if there are no
            others.
        difference: difference of `best` from the reference; None without another arm.
    """

    best: str
    difference: Difference | None

    @property
    def reference(self) -> str:
        """The arm that `best` is compared with, or `best` itself if it is the only arm."""
        return self.difference.against if self.difference else self.best


def study_answer(study: StudyFindings, patches: int, units: int, caveats: Sequence[str] = ()) -> StudyAnswer:
    """Return the answer of a study.

    Args:
        study: the findings.
        patches: number of patches in the test split.
        units: number of patients (slides, images) in the test split.
        caveats: what lessens the answer's worth, one short sentence each; see `text.caveats`.
    """
    if not study.challengers:
        return _only_arm(study, patches, units, caveats)
    judged = study_verdict(study)
    best, difference, verdict = judged.best, judged.difference, judged.verdict
    lines = [_scores_line(study, best, difference, patches, units)]
    if verdict != "not_learned":
        lines += [
            _certainty_line(study, judged),
            *_rivals_line(study, best),
            *_synthetic_line(study, best),
            *_selection_line(study),
        ]
    lines += epochs_line(judged.unlearned)
    return StudyAnswer(verdict, _headline(study, judged, units), lines, best.name, difference, caveats=list(caveats))


def _headline(study: StudyFindings, judged: StudyVerdict, units: int) -> str:
    unlearned = unlearned_text(study, judged.unlearned)
    if judged.verdict == "not_learned":
        return unlearned
    claim = _claim(study, judged, units)
    return f"{claim} {unlearned}" if unlearned else claim


def _claim(study: StudyFindings, judged: StudyVerdict, units: int) -> str:
    best, difference, verdict = judged.best, judged.difference, judged.verdict
    name, score, value = best.title, score_name(study.score), overall(difference).difference
    if value is None:
        return f"The {score} of the arms cannot be compared on this test split."
    result = f"is {amount(study.score, value)} {study.title(difference.against)} in {score}"
    significant = f"{sentence_case(name)} {result}, which is significant over {study.units} and training runs"
    if verdict == "too_few":
        few = _few(study, overall(difference), units)
        return f"Too few {few} to tell whether any arm helps. In this test split, {name} {result}."
    if verdict == "better":
        beaten = study.beaten(best.name, study.score)
        return f"{significant}{'; it beats every arm without synthetic patches' if beaten else ''}."
    if verdict == "better_than_reference":
        return f"{significant}, but {_unbeaten(study, best)}."
    if verdict == "worse":
        return f"No arm helps: even the best, {name}, {result}."
    return f"No difference found: {name} {result}, with {effect_interval(study.score, overall(difference))}."


def _few(study: StudyFindings, effect: CrossedEffect, units: int) -> str:
    reasons = {
        "patients": f"test {study.units} ({units})",
        "seeds": f"seeds ({min(effect.runs, effect.reference_runs)})",
        "classes": f"test {study.units} in a class (1)",
    }
    return " and ".join(reasons[shortage] for shortage in shortages(effect))


def _unbeaten(study: StudyFindings, best: ArmFindings) -> str:
    against_all = study.beaten(best.name, study.score)
    if against_all is None or against_all.effect.difference is None:
        return "no arm with synthetic patches is shown to be better than every arm without them"
    closest, difference = study.title(against_all.closest), against_all.effect.difference
    if difference < 0:
        return f"it is {amount(study.score, difference)} {closest}, which has no synthetic patches"
    return f"it is not shown to be better than {closest}, which has no synthetic patches"


def _scores_line(study: StudyFindings, best: ArmFindings, difference: Difference, patches: int, units: int) -> str:
    reference = study.arm(difference.against)
    best_score, reference_score = (
        value_text(arm.scores[study.score].mean, missing=UNDEFINED) for arm in (best, reference)
    )
    line = (
        f"{SCORE_NAMES[study.score]}, mean over {best.size}: {best_score} for "
        f"{best.title} against {reference_score} for {reference.title} (difference: "
        f"{effect_interval(study.score, overall(difference))}). Measured "
        f"on {counted(patches, 'patches')} of {counted(units, study.units)} {_where(best)}."
    )
    return " ".join(filter(None, [line, study.score_reason]))


def _where(arm: ArmFindings) -> str:
    if arm.folds:
        return f"in {counted(len(arm.folds), 'folds')}, each tested by classifiers trained without it"
    return "of the test split, which neither training nor selection reads"


def _certainty_line(study: StudyFindings, judged: StudyVerdict) -> str:
    if judged.verdict == "too_few":
        return (
            f"A conclusion needs at least {MIN_SEEDS} seeds and {MIN_PATIENTS} test {study.units}, several in each "
            "class. With fewer, there are no reliable intervals, and the numbers below describe this test split only."
        )
    effect = overall(judged.difference)
    comparisons = sum(each.score == study.score for each in study.differences)
    line = f"One analysis over {study_size(effect, study.units)}: {p_value(effect) or 'no test'}"
    line += f" after Holm's correction over {comparisons} comparisons" if comparisons > 1 else ""
    line += f"; P(better), taken alone: {better_text(effect)}." if effect.better is not None else "."
    if effect.detectable is not None:
        line += f" A true difference of {size_text(study.score, effect.detectable)} is found with a power of 80%."
    if effect.generators == 1:
        folds = study.arm(judged.difference.arm).folds
        source, scope = ("one generator per fold", "these") if folds else ("one generator", "this one")
        line += f" All synthetic patches of the arm come from {source}, so the result holds for {scope} only."
    return line


def _rivals_line(study: StudyFindings, best: ArmFindings) -> list[str]:
    """Compare the best arm with the closest of all arms without synthetic patches."""
    against_all = study.beaten(best.name, study.score)
    difference = against_all.effect.difference if against_all else None
    if against_all is None or difference is None:
        return []
    if verdict_of(study, required_difference(study, best)) == "not_learned":
        return []
    effect = against_all.effect
    p = p_value(effect)
    return [
        f"Hardest to beat of the {len(against_all.rivals)} arms without synthetic patches is "
        f"{study.title(against_all.closest)}: {best.title} is {amount(study.score, difference)} it "
        f"({effect_interval(study.score, effect)}{f'; {p} against all of them' if p else ''})."
    ]


def _synthetic_line(study: StudyFindings, best: ArmFindings) -> list[str]:
    with_synthetic = [arm for arm in study.challengers if arm.synthetic]
    if best.synthetic or not with_synthetic:
        return []
    arm = best_arm(with_synthetic, study.score)
    comparison = _comparison(study, required_difference(study, arm))
    return [f"The best arm with synthetic patches, {arm.title}, {comparison}", *_rivals_line(study, arm)]


def _selection_line(study: StudyFindings) -> list[str]:
    """Compare selected synthetic patches with unselected ones."""
    names = {arm.name for arm in study.arms}
    difference = study.difference("selective", study.score, "gan") if {"selective", "gan"} <= names else None
    if difference is None:
        return []
    return [f"Selected patches compared with unselected ones: selective {_comparison(study, difference)}"]


def _comparison(study: StudyFindings, difference: Difference) -> str:
    """Return text such as 'is 0.4 percentage points above baseline in accuracy (no difference found; …).'"""
    effect, other = overall(difference), study.title(difference.against)
    if effect.difference is None:
        return f"cannot be compared with {other}."
    verdict, p = verdict_of(study, difference), p_value(effect)
    claims = verdict not in ("too_few", "not_learned")
    better = f"; P(better) {better_text(effect)}" if claims and effect.better is not None else ""
    corrected = f", {p} after Holm's correction" if p and claims else ""
    return (
        f"is {amount(study.score, effect.difference)} {other} in {score_name(study.score)} ({VERDICTS[verdict]}; "
        f"{effect_interval(study.score, effect)}{corrected}{better})."
    )


def _only_arm(study: StudyFindings, patches: int, units: int, caveats: Sequence[str]) -> StudyAnswer:
    arm = study.arms[0]
    score = arm.scores[study.score]
    value = value_text(score.mean, missing=UNDEFINED)
    if score.low is not None and score.high is not None:
        value += f" ({study.confidence:.0%} interval {score.low:.3f} to {score.high:.3f})"
    unlearned = [each for each in study.arms if study.learned(each.name) is False]
    headline = f"Only one arm, {arm.title}, so there is no comparison: {score_name(study.score)} {value}."
    line = f"Measured on {counted(patches, 'patches')} of {counted(units, study.units)}; mean over {arm.size}."
    line = " ".join(filter(None, [line, study.score_reason]))
    headline = " ".join(filter(None, [headline, unlearned_text(study, unlearned)]))
    return StudyAnswer(
        "no_comparison", headline, [line, *epochs_line(unlearned)], arm.name, None, caveats=list(caveats)
    )
