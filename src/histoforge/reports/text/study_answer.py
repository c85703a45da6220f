"""The answer of a study: which arm, by how much, how certain, and on how many patches and patients."""

from collections.abc import Sequence
from dataclasses import dataclass

from histoforge.core.text import counted
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, Difference, StudyFindings, Verdict
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.metrics.crossed import ALONE_IN_A_CLASS, CrossedEffect
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.formatting import (
    UNDEFINED,
    amount,
    effect_interval,
    p_value,
    score_name,
    size_text,
    value_text,
)

VERDICTS = {
    "better": "better", "worse": "worse", "no_difference": "no difference found", "too_few": "too few to tell",
}  # fmt: skip


@dataclass(frozen=True)
class StudyAnswer(Answer):
    """The first lines of a study's report.

    Attributes:
        best: the arm with the highest mean score among those that are better than their reference, or among all if
            none is; the only arm if there are no others.
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

    An arm is called better if the analysis over patients and training runs together (`metrics.crossed`) says so after
    Holm's correction over all comparisons, and if there are enough seeds and patients for it to mean something. Every
    arm is judged; the headline names the best of those that are better, or else the one with the highest mean.

    Args:
        patches: number of patches in the test split.
        units: number of patients (slides, images) in the test split.
        caveats: what lessens the answer's worth, one short sentence each; see `text.caveats`.
    """
    others = study.challengers
    if not others:
        return _only_arm(study, patches, units, caveats)
    compared = [(arm, _required_difference(study, arm)) for arm in others]
    better = [arm for arm, difference in compared if difference_verdict(difference) == "better"]
    best = _best(better or others, study.score)
    difference = _required_difference(study, best)
    verdict = difference_verdict(difference)
    lines = [
        _scores_line(study, best, difference, patches, units),
        _certainty_line(study, difference, verdict),
        *_synthetic_line(study, best, others),
        *_selection_line(study),
    ]
    headline = _headline(study, best, difference, verdict, units)
    return StudyAnswer(verdict, headline, lines, best.name, difference, caveats=list(caveats))


def _required_difference(study: StudyFindings, arm: ArmFindings) -> Difference:
    difference = study.difference(arm.name, study.score)
    if difference is None:
        raise RuntimeError(f"{arm.name} was compared with no other arm")
    return difference


def difference_verdict(difference: Difference) -> Verdict:
    """Return the verdict that a difference supports."""
    effect = _overall(difference)
    p = effect.p if effect.p_adjusted is None else effect.p_adjusted
    if _shortages(effect):
        return "too_few"
    if p is None or effect.difference is None or p >= 1 - effect.confidence:
        return "no_difference"
    return "better" if effect.difference > 0 else "worse"


def _overall(difference: Difference) -> CrossedEffect:
    if difference.overall is None:
        raise RuntimeError(f"{difference.arm} and {difference.against} lack the comparison over patients and runs")
    return difference.overall


def _shortages(effect: CrossedEffect) -> list[str]:
    """Return what a claim lacks: 'patients', 'seeds', or 'classes' if one patient alone has a class."""
    return [
        *(["patients"] if effect.patients < MIN_PATIENTS else []),
        *(["seeds"] if min(effect.runs, effect.reference_runs) < MIN_SEEDS else []),
        *(["classes"] if effect.note == ALONE_IN_A_CLASS else []),
    ]


def _best(arms: list[ArmFindings], score: str) -> ArmFindings:
    return max(arms, key=lambda arm: -1.0 if (mean := arm.scores[score].mean) is None else mean)


def _headline(study: StudyFindings, best: ArmFindings, difference: Difference, verdict: Verdict, units: int) -> str:
    name, score, value = best.title, score_name(study.score), difference.over_patients.difference
    if value is None:
        return f"The {score} of the arms cannot be compared on this test split."
    result = f"is {amount(study.score, value)} {study.title(difference.against)} in {score}"
    if verdict == "too_few":
        effect = _overall(difference)
        reasons = {
            "patients": f"test {study.units} ({units})",
            "seeds": f"seeds ({min(effect.runs, effect.reference_runs)})",
            "classes": f"test {study.units} in a class (1)",
        }
        few = [reasons[shortage] for shortage in _shortages(effect)]
        return f"Too few {' and '.join(few)} to tell whether any arm helps. In this test split, {name} {result}."
    if verdict == "better":
        return f"{name[0].upper()}{name[1:]} {result}, which is significant over {study.units} and training runs."
    if verdict == "worse":
        return f"No arm helps: even the best, {name}, {result}."
    return f"No difference found: {name} {result}, with {effect_interval(study.score, _overall(difference))}."


def _scores_line(study: StudyFindings, best: ArmFindings, difference: Difference, patches: int, units: int) -> str:
    reference = study.arm(difference.against)
    best_score, reference_score = (
        value_text(arm.scores[study.score].mean, missing=UNDEFINED) for arm in (best, reference)
    )
    return (
        f"{SCORE_NAMES[study.score]}, mean over {counted(len(best.seeds), 'seeds')}: {best_score} for "
        f"{best.title}, the best arm besides {reference.title}, against {reference_score} for "
        f"{reference.title} (difference: {effect_interval(study.score, _overall(difference))}). Measured "
        f"on {counted(patches, 'patches')} of {counted(units, study.units)} of the test split, which neither training "
        "nor selection reads."
    )


def _certainty_line(study: StudyFindings, difference: Difference, verdict: Verdict) -> str:
    if verdict == "too_few":
        return (
            f"A conclusion needs at least {MIN_SEEDS} seeds and {MIN_PATIENTS} test {study.units}, several in each "
            "class. With fewer, intervals are unreliable, and the numbers below describe this test split only."
        )
    effect = _overall(difference)
    comparisons = sum(each.score == study.score for each in study.differences)
    line = f"One analysis over {counted(effect.patients, study.units)} and {counted(effect.runs, 'seeds')}: "
    line += f"{p_value(effect) or 'no test'}"
    line += f" after Holm's correction over {comparisons} comparisons." if comparisons > 1 else "."
    if effect.detectable is not None:
        line += f" A true difference of {size_text(study.score, effect.detectable)} is found with a power of 80%."
    if effect.generators == 1:
        line += " All synthetic patches of the arm come from one generator, so the result holds for this one only."
    return line


def _synthetic_line(study: StudyFindings, best: ArmFindings, others: list[ArmFindings]) -> list[str]:
    with_synthetic = [arm for arm in others if arm.synthetic]
    if best.synthetic or not with_synthetic:
        return []
    arm = _best(with_synthetic, study.score)
    comparison = _comparison(study, arm.name, study.reference_of(arm))
    return [f"The best arm with synthetic patches, {arm.title}, {comparison}"]


def _selection_line(study: StudyFindings) -> list[str]:
    """Compare selected synthetic patches with unselected ones."""
    names = {arm.name for arm in study.arms}
    if not {"selective", "gan"} <= names or study.difference("selective", study.score, "gan") is None:
        return []
    return [f"Selected patches compared with unselected ones: selective {_comparison(study, 'selective', 'gan')}"]


def _comparison(study: StudyFindings, arm: str, other: str) -> str:
    """Return text such as 'is 0.4 percentage points above baseline in accuracy (no difference found; …).'"""
    difference = study.difference(arm, study.score, other)
    if difference is None or difference.over_patients.difference is None:
        return f"cannot be compared with {study.title(other)}."
    size = amount(study.score, difference.over_patients.difference)
    interval = effect_interval(study.score, _overall(difference))
    verdict = VERDICTS[difference_verdict(difference)]
    p = p_value(_overall(difference))
    corrected = f", {p} after Holm's correction" if p else ""
    return f"is {size} {study.title(other)} in {score_name(study.score)} ({verdict}; {interval}{corrected})."


def _only_arm(study: StudyFindings, patches: int, units: int, caveats: Sequence[str]) -> StudyAnswer:
    arm = study.arms[0]
    score = arm.scores[study.score]
    value = value_text(score.mean, missing=UNDEFINED)
    if score.low is not None and score.high is not None:
        value += f" ({study.confidence:.0%} interval {score.low:.3f} to {score.high:.3f})"
    headline = f"Only one arm, {arm.title}, so there is no comparison: {score_name(study.score)} {value}."
    line = (
        f"Measured on {counted(patches, 'patches')} of {counted(units, study.units)}; mean over "
        f"{counted(len(arm.seeds), 'seeds')}."
    )
    return StudyAnswer("no_comparison", headline, [line], arm.name, None, caveats=list(caveats))
