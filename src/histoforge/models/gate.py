"""The gate: a challenger replaces the champion if it learned, and the comparison and its audit allow it."""

from typing import Protocol

from histoforge.core.text import counted
from histoforge.metrics.compare import p_text
from histoforge.metrics.crossed import NO_VARIANCE, CrossedEffect
from histoforge.metrics.crossed_mean import CrossedMean, has_learned
from histoforge.models.publications import Verdict


class Audit(Protocol):
    """The fields of a memorisation audit that decide."""

    @property
    def copied(self) -> bool:
        """True if synthetic patches are copies of training patches."""

    @property
    def enough(self) -> bool:
        """True if there were enough patches to decide."""

    @property
    def verdict(self) -> str:
        """The result in one sentence."""


def check_audit(synthetic: bool, audit: Audit | None) -> Verdict:
    """Decide whether the memorisation audit lets a model pass.

    Args:
        synthetic: True if it was trained with synthetic patches; a model that was not needs no audit.
        audit: the audit of the synthetic patches, or None.
    """
    if not synthetic:
        return Verdict(True, "it was trained on real patches only")
    if audit is None:
        return Verdict(
            False, "its synthetic patches have no memorisation audit: evaluate it with its pool or selection"
        )
    if audit.copied:
        return Verdict(False, f"its memorisation audit failed ({_audit_text(audit)})")
    if not audit.enough:
        return Verdict(False, f"its memorisation audit is inconclusive ({_audit_text(audit)})")
    return Verdict(True, "its memorisation audit passed")


def check_learning(above: CrossedMean, score: str, value: float | None, guessing: float | None, unit: str) -> Verdict:
    """Decide whether a model is shown to have learned anything: whether it is better than always answering the same.

    Args:
        above: by how much its score is above that of a classifier that always gives the same answer.
        score: name of the score.
        value: the model's score.
        guessing: the score of the other classifier.
        unit: name of the test patients.
    """
    name = "AUC" if score == "auc" else score.replace("_", " ")
    if above.p_above is None or value is None or guessing is None:
        return Verdict(False, f"whether it learned anything cannot be tested ({above.note or f'no {name}'})")
    evidence = {"score": score, "above_guessing": above.model_dump(mode="json")}
    text = f"{name} {value:.2f}, and guessing reaches {guessing:.2f}; {p_text(above.p_above)}; {above.patients} {unit}"
    if has_learned(above):
        return Verdict(True, f"it learned ({text})", evidence)
    return Verdict(False, f"it is not shown to have learned anything ({text})", evidence)


def check_difference(effect: CrossedEffect, score: str, margin: float, min_units: int, unit: str) -> Verdict:
    """Decide whether a difference, challenger minus champion, lets the challenger pass.

    The challenger passes if the whole confidence interval lies above -margin. With a margin of 0 it must be better;
    otherwise it must not be worse by the margin (a test of non-inferiority).

    Args:
        effect: difference over test patients and training runs, of a score of which higher is better (share of 1).
        score: name of the score, for the reason.
        margin: in the score's own unit, 0 or more.
        min_units: minimum number of test patients.
        unit: name of the test patients.
    """
    evidence = {"score": score, "margin": margin, "n": effect.patients, **effect.model_dump(mode="json")}
    in_score = f"in {score.replace('_', ' ')}"
    if effect.patients < min_units:
        few = f"only {effect.patients} test {unit} can be compared, and {min_units} are needed"
        return Verdict(False, few, evidence)
    low = effect.difference if effect.note == NO_VARIANCE else effect.low
    if effect.difference is None or low is None:
        return Verdict(False, f"the two cannot be compared {in_score} ({effect.note or 'it is undefined'})", evidence)
    text = f"{difference_text(effect, unit)} {in_score}"
    if low > 0:
        return Verdict(True, f"it is {text}", evidence)
    if low > -margin:
        return Verdict(True, f"it is not worse by {margin * 100:g} points: {text}", evidence)
    excess = f", and more than {margin * 100:g} points worse is not ruled out" if margin else ""
    subject = "it is " if text.startswith("worse") else ""
    return Verdict(False, f"{subject}{text}{excess}", evidence)


def difference_text(effect: CrossedEffect, unit: str) -> str:
    """Describe a difference in percentage points, claiming no more than it shows.

    'better by 2.1 points (95% CI 0.4 to 3.8; p = 0.02; 12 patients, 5 and 5 classifiers)', 'worse by …', or 'no
    difference found: …'.
    """
    points = (effect.difference or 0.0) * 100
    size = f"{counted(effect.patients, unit)}, {effect.runs} and {counted(effect.reference_runs, 'classifiers')}"
    if effect.low is None or effect.high is None or effect.p is None:
        word = "no difference found:" if not round(points, 9) else "better by" if points > 0 else "worse by"
        number = f"{points:+.1f}" if word.startswith("no") else f"{abs(points):.1f}"
        return f"{word} {number} points ({effect.note}; {size})"
    low, high = effect.low * 100, effect.high * 100
    detail = f"{effect.confidence:.0%} CI {{:.1f}} to {{:.1f}}; {p_text(effect.p)}; {size}"
    if low <= 0 <= high:
        return f"no difference found: {points:+.1f} points ({detail.format(low, high)})"
    if points > 0:
        return f"better by {points:.1f} points ({detail.format(low, high)})"
    return f"worse by {-points:.1f} points ({detail.format(-high, -low)})"


def _audit_text(audit: Audit) -> str:
    return audit.verdict.rstrip(".") or "no verdict"
