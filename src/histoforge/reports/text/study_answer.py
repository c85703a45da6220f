"""The answer in plain words: which arm, by how much, how certain, and on how many patches and patients."""

from dataclasses import dataclass

from histoforge.core.text import counted
from histoforge.evaluation.findings import SCORE_NAMES, ArmFindings, Difference, StudyFindings, Verdict
from histoforge.metrics.bootstrap import FEWEST_PATIENTS
from histoforge.metrics.compare import FEWEST_SEEDS, p_text
from histoforge.metrics.results import Effect

POINTS = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1")
"""Scores whose differences are given in percentage points."""


@dataclass(frozen=True)
class Answer:
    """The first lines of the report.

    Attributes:
        best: the arm with the highest mean score among those compared with the reference; the only arm if there are no
            others.
        difference: difference of `best` from the reference; None without another arm.
    """

    verdict: Verdict
    best: str
    difference: Difference | None
    headline: str
    lines: list[str]

    @property
    def reference(self) -> str:
        """The arm that `best` is compared with, or `best` itself if it is the only arm."""
        return self.difference.against if self.difference else self.best


def answer(study: StudyFindings, patches: int, units: int) -> Answer:
    """Return the answer of a study.

    An arm is called better only if both the interval over patients and the paired test over seeds (after Holm's
    correction over the arms) agree, and if there are enough seeds and patients for either to mean something.

    Args:
        patches: number of patches in the test split.
        units: number of patients (slides, images) in the test split.
    """
    others = study.challengers
    if not others:
        return _single(study, patches, units)
    best = _best(others, study.score)
    found = study.difference(best.name, study.score)
    if found is None:
        raise RuntimeError(f"{best.name} was compared with nothing")
    verdict = judge(found)
    lines = [_scores_line(study, best, found, patches, units), _how_sure(study, found, verdict)]
    lines += _synthetic_line(study, best, others)
    lines += _selection_line(study)
    return Answer(verdict, best.name, found, _headline(study, best, found, verdict, units), lines)


def judge(difference: Difference) -> Verdict:
    """Return the verdict that a difference supports."""
    patients, seeds = difference.over_patients, difference.over_seeds
    if seeds is None or seeds.n < FEWEST_SEEDS or patients.n < FEWEST_PATIENTS:
        return "too_few"
    signs = {_sign(patients), _sign(seeds)}
    if signs == {1}:
        return "better"
    return "worse" if signs == {-1} else "no_difference"


def amount(score: str, value: float) -> str:
    """Describe a difference: '2.1 percentage points above', or '0.021 below' for an AUC."""
    size = f"{abs(value) * 100:.1f} percentage points" if score in POINTS else f"{abs(value):.3f}"
    return f"{size} {'below' if value < 0 else 'above'}"


def score_name(score: str) -> str:
    """Return a score's name for use within a sentence: 'accuracy', 'AUC'."""
    name = SCORE_NAMES[score]
    return name if name.isupper() or name == "F1" else name.lower()


def interval(score: str, effect: Effect) -> str:
    """Return text such as '95% interval -0.4 to +3.8 points', or the reason why there is no interval."""
    if effect.low is None or effect.high is None:
        return f"no interval: {effect.note}" if effect.note else "no interval"
    low, high = (f"{v * 100:+.1f}" if score in POINTS else f"{v:+.3f}" for v in (effect.low, effect.high))
    return f"{effect.confidence:.0%} interval {low} to {high}{' points' if score in POINTS else ''}"


def p_value(effect: Effect) -> str:
    """Return the p-value, corrected if available; '' if there is none, or too few units for it to mean anything."""
    p = effect.p if effect.p_adjusted is None else effect.p_adjusted
    fewest = FEWEST_SEEDS if effect.unit == "seeds" else FEWEST_PATIENTS
    return "" if p is None or effect.n < fewest else p_text(p)


def _sign(effect: Effect) -> int:
    """Return 1 or -1 if interval and corrected p-value agree that the difference is above or below zero, else 0."""
    p = effect.p if effect.p_adjusted is None else effect.p_adjusted
    if effect.low is None or effect.high is None or p is None or p >= 1 - effect.confidence:
        return 0
    return 1 if effect.low > 0 else -1 if effect.high < 0 else 0


def _best(arms: list[ArmFindings], score: str) -> ArmFindings:
    return max(arms, key=lambda arm: -1.0 if (mean := arm.scores[score].mean) is None else mean)


def _headline(study: StudyFindings, best: ArmFindings, found: Difference, verdict: Verdict, units: int) -> str:
    name, reference, score = best.title, study.title(found.against), score_name(study.score)
    value = found.over_patients.difference
    if value is None:
        return f"The {score} of the arms cannot be compared on this test split."
    seen = f"{name} is {amount(study.score, value)} {reference} in {score}"
    if verdict == "too_few":
        seeds = found.over_seeds.n if found.over_seeds else 0
        few = [f"test {study.units} ({units})"] if found.over_patients.n < FEWEST_PATIENTS else []
        few += [f"seeds ({seeds})"] if seeds < FEWEST_SEEDS else []
        return f"Too few {' and '.join(few)} to tell whether any arm helps. Seen here: {seen}."
    if verdict == "better":
        return f"{seen[0].upper()}{seen[1:]}, and the difference holds over {study.units} and over seeds."
    if verdict == "worse":
        return f"No arm helps: even the best of them, {seen}."
    return f"No difference found: {seen}, which chance alone can explain."


def _scores_line(study: StudyFindings, best: ArmFindings, found: Difference, patches: int, units: int) -> str:
    mine, theirs = best.scores[study.score].mean, study.arm(found.against).scores[study.score].mean
    means = "" if mine is None or theirs is None else f" {mine:.3f} against {theirs:.3f}"
    return (
        f"{SCORE_NAMES[study.score]} of {best.title}, the best arm besides {study.title(found.against)}, "
        f"is{means}, {interval(study.score, found.over_patients)} for the difference, on {counted(patches, 'patches')} "
        f"of {counted(units, study.units)} that no training and no selection has seen; means over "
        f"{counted(len(best.seeds), 'seeds')}."
    )


def _how_sure(study: StudyFindings, found: Difference, verdict: Verdict) -> str:
    if verdict == "too_few":
        return (
            f"A claim needs at least {FEWEST_SEEDS} seeds and {FEWEST_PATIENTS} test {study.units}: until then an "
            "interval says little, and the numbers below show what was seen, not what is so."
        )
    over_seeds = p_value(found.over_seeds) if found.over_seeds else ""
    return (
        f"Bootstrap over {study.units}: {p_value(found.over_patients) or 'no test'}; paired t-test over seeds: "
        f"{over_seeds or 'no test'} (both after Holm's correction over the arms)."
    )


def _synthetic_line(study: StudyFindings, best: ArmFindings, others: list[ArmFindings]) -> list[str]:
    with_synthetic = [arm for arm in others if arm.synthetic]
    if best.synthetic or not with_synthetic:
        return []
    arm = _best(with_synthetic, study.score)
    return [_against(study, arm.name, study.reference_of(arm), "The best arm with synthetic patches is")]


def _selection_line(study: StudyFindings) -> list[str]:
    """Say whether choosing among synthetic patches is better than taking any."""
    names = {arm.name for arm in study.arms}
    if not {"selective", "gan"} <= names or study.difference("selective", study.score, "gan") is None:
        return []
    return [_against(study, "selective", "gan", "Does choosing help over taking any synthetic patch? Seen:")]


def _against(study: StudyFindings, arm: str, other: str, start: str) -> str:
    found = study.difference(arm, study.score, other)
    if found is None or found.over_patients.difference is None:
        return f"{start} {study.title(arm)}, which cannot be compared with {study.title(other)}."
    verdict = {
        "better": "better", "worse": "worse", "no_difference": "no difference found", "too_few": "too few to tell",
    }[judge(found)]  # fmt: skip
    return (
        f"{start} {study.title(arm)}, {amount(study.score, found.over_patients.difference)} {study.title(other)} in "
        f"{score_name(study.score)} ({interval(study.score, found.over_patients)}): {verdict}."
    )


def _single(study: StudyFindings, patches: int, units: int) -> Answer:
    arm = study.arms[0]
    score = arm.scores[study.score]
    value = "undefined" if score.mean is None else f"{score.mean:.3f}"
    between = "" if score.low is None or score.high is None else f" (95% interval {score.low:.3f} to {score.high:.3f})"
    name = score_name(study.score)
    headline = f"One arm only, {arm.title}, so there is nothing to compare: {name} {value}{between}."
    line = f"On {counted(patches, 'patches')} of {counted(units, study.units)}, {counted(len(arm.seeds), 'seeds')}."
    return Answer("no_comparison", arm.name, None, headline, [line])
