"""The answer of a study: which arm, by how much, how certain, and on how many patches and patients."""

from dataclasses import dataclass

from histoforge.core.text import counted
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, Difference, StudyFindings, Verdict
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.metrics.results import Effect
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.formatting import (
    UNDEFINED,
    amount,
    effect_interval,
    p_value,
    score_name,
    value_text,
)

VERDICTS = {
    "better": "better", "worse": "worse", "no_difference": "no difference found", "too_few": "too few to tell",
}  # fmt: skip


@dataclass(frozen=True)
class StudyAnswer(Answer):
    """The first lines of a study's report.

    Attributes:
        best: the arm with the highest mean score among those compared with the reference; the only arm if there are no
            others.
        difference: difference of `best` from the reference; None without another arm.
    """

    best: str
    difference: Difference | None

    @property
    def reference(self) -> str:
        """The arm that `best` is compared with, or `best` itself if it is the only arm."""
        return self.difference.against if self.difference else self.best


def study_answer(study: StudyFindings, patches: int, units: int) -> StudyAnswer:
    """Return the answer of a study.

    An arm is called better only if both the interval over patients and the paired test over seeds (after Holm's
    correction over the arms) agree, and if there are enough seeds and patients for either to mean something.

    Args:
        patches: number of patches in the test split.
        units: number of patients (slides, images) in the test split.
    """
    others = study.challengers
    if not others:
        return _only_arm(study, patches, units)
    best = _best(others, study.score)
    difference = study.difference(best.name, study.score)
    if difference is None:
        raise RuntimeError(f"{best.name} was compared with no other arm")
    verdict = difference_verdict(difference)
    lines = [
        _scores_line(study, best, difference, patches, units),
        _certainty_line(study, difference, verdict),
        *_synthetic_line(study, best, others),
        *_selection_line(study),
    ]
    return StudyAnswer(verdict, _headline(study, best, difference, verdict, units), lines, best.name, difference)


def difference_verdict(difference: Difference) -> Verdict:
    """Return the verdict that a difference supports."""
    patients, seeds = difference.over_patients, difference.over_seeds
    if seeds is None or seeds.n < MIN_SEEDS or patients.n < MIN_PATIENTS:
        return "too_few"
    signs = {_significant_sign(patients), _significant_sign(seeds)}
    if signs == {1}:
        return "better"
    return "worse" if signs == {-1} else "no_difference"


def _significant_sign(effect: Effect) -> int:
    """Return 1 or -1 if interval and corrected p-value agree that the difference is above or below zero, else 0."""
    p = effect.p if effect.p_adjusted is None else effect.p_adjusted
    if effect.low is None or effect.high is None or p is None or p >= 1 - effect.confidence:
        return 0
    return 1 if effect.low > 0 else -1 if effect.high < 0 else 0


def _best(arms: list[ArmFindings], score: str) -> ArmFindings:
    return max(arms, key=lambda arm: -1.0 if (mean := arm.scores[score].mean) is None else mean)


def _headline(study: StudyFindings, best: ArmFindings, difference: Difference, verdict: Verdict, units: int) -> str:
    name, score, value = best.title, score_name(study.score), difference.over_patients.difference
    if value is None:
        return f"The {score} of the arms cannot be compared on this test split."
    result = f"is {amount(study.score, value)} {study.title(difference.against)} in {score}"
    if verdict == "too_few":
        seeds = difference.over_seeds.n if difference.over_seeds else 0
        few = [f"test {study.units} ({units})"] if difference.over_patients.n < MIN_PATIENTS else []
        few += [f"seeds ({seeds})"] if seeds < MIN_SEEDS else []
        return f"Too few {' and '.join(few)} to tell whether any arm helps. In this test split, {name} {result}."
    if verdict == "better":
        return f"{name[0].upper()}{name[1:]} {result}, and the difference is significant over {study.units} and seeds."
    if verdict == "worse":
        return f"No arm helps: even the best, {name}, {result}."
    return f"No difference found: {name} {result}, which chance alone could explain."


def _scores_line(study: StudyFindings, best: ArmFindings, difference: Difference, patches: int, units: int) -> str:
    reference = study.arm(difference.against)
    best_score, reference_score = (
        value_text(arm.scores[study.score].mean, missing=UNDEFINED) for arm in (best, reference)
    )
    return (
        f"{SCORE_NAMES[study.score]}, mean over {counted(len(best.seeds), 'seeds')}: {best_score} for "
        f"{best.title}, the best arm besides {reference.title}, against {reference_score} for "
        f"{reference.title} (difference: {effect_interval(study.score, difference.over_patients)}). Measured "
        f"on {counted(patches, 'patches')} of {counted(units, study.units)} that neither training nor selection has "
        "seen."
    )


def _certainty_line(study: StudyFindings, difference: Difference, verdict: Verdict) -> str:
    if verdict == "too_few":
        return (
            f"A conclusion needs at least {MIN_SEEDS} seeds and {MIN_PATIENTS} test {study.units}. With fewer, "
            "intervals are unreliable, and the numbers below describe this test split only."
        )
    over_seeds = p_value(difference.over_seeds) if difference.over_seeds else ""
    return (
        f"Bootstrap over {study.units}: {p_value(difference.over_patients) or 'no test'}; paired t-test over seeds: "
        f"{over_seeds or 'no test'} (both after Holm's correction over the arms)."
    )


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
    interval = effect_interval(study.score, difference.over_patients)
    verdict = VERDICTS[difference_verdict(difference)]
    return f"is {size} {study.title(other)} in {score_name(study.score)} ({verdict}; {interval})."


def _only_arm(study: StudyFindings, patches: int, units: int) -> StudyAnswer:
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
    return StudyAnswer("no_comparison", headline, [line], arm.name, None)
