"""The gate: a challenger replaces the champion if a paired test and the memorisation audit allow it."""

from typing import Protocol

from histoforge.metrics.compare import effect_text
from histoforge.metrics.results import Effect
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


def check_difference(effect: Effect, score: str, margin: float, min_units: int, unit: str) -> Verdict:
    """Decide whether a paired difference, challenger minus champion, lets the challenger pass.

    The challenger passes if the whole confidence interval lies above -margin. With a margin of 0 it must be better;
    otherwise it must not be worse by the margin (a test of non-inferiority).

    Args:
        effect: difference over test patients, of a score of which higher is better (share of 1).
        score: name of the score, for the reason.
        margin: in the score's own unit, 0 or more.
        min_units: minimum number of test patients.
        unit: name of the test patients.
    """
    evidence = {"score": score, "margin": margin, **effect.model_dump(mode="json", exclude={"p_adjusted"})}
    in_score = f"in {score.replace('_', ' ')}"
    if effect.n < min_units:
        return Verdict(False, f"only {effect.n} test {unit} can be compared, and {min_units} are needed", evidence)
    if effect.difference is None or effect.low is None:
        return Verdict(False, f"the two cannot be compared {in_score} ({effect.note or 'it is undefined'})", evidence)
    text = f"{effect_text(effect)} {in_score}"
    if effect.low > 0:
        return Verdict(True, f"it is {text}", evidence)
    if effect.low > -margin:
        return Verdict(True, f"it is not worse by {margin * 100:g} points: {text}", evidence)
    excess = f", and more than {margin * 100:g} points worse is not ruled out" if margin else ""
    subject = "it is " if text.startswith("worse") else ""
    return Verdict(False, f"{subject}{text}{excess}", evidence)


def _audit_text(audit: Audit) -> str:
    return audit.verdict.rstrip(".") or "no verdict"
