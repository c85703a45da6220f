"""The comparisons between arms that an answer rests on, with one correction for all of them.

Each arm is compared with its reference. An arm with synthetic patches must also beat every arm without them, or the
better result may have come without synthetic patches. The best arm without them is known only from the same test
patients, and choosing it by its score would favour it or the challenger by chance. So none is chosen: the arm must be
better than each of them (an intersection-union test, whose p-value is the largest of the single ones; Berger 1982).

Beating every arm without synthetic patches implies beating the reference, which is one of them. Of the two statements
about an arm, at most one is therefore the decisive false one, and both fit into one place of Holm's procedure:
an arm leaves the procedure once it has beaten all of them (Goeman and Solari 2010, sequential rejection). The second
statement costs the first no power.

References:
    Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982) 295-300.
    Goeman and Solari, "The sequential rejection principle of familywise error control", Annals of Statistics 38 (2010)
    3782-3810.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from histoforge.metrics.compare import nested_holm
from histoforge.metrics.crossed import CrossedEffect, crossed_difference, detectable_difference
from histoforge.metrics.scored_runs import ScoredRuns


@dataclass(frozen=True)
class Planned:
    """An arm, the arm that it is compared with, and all arms that it must beat, if these are several."""

    arm: str
    against: str
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class AgainstAll:
    """The test of whether an arm with synthetic patches is better than every arm without them.

    Attributes:
        arm: name of the arm.
        rivals: names of the arms without synthetic patches.
        score: name of the score.
        closest: the rival with the largest p-value, which decides; of several, the one with the smallest difference.
        effect: the difference from `closest`; its `p_adjusted` is that of the whole test.
    """

    arm: str
    rivals: list[str]
    score: str
    closest: str
    effect: CrossedEffect


@dataclass(frozen=True)
class Compared:
    """The outcome of a planned comparison: the difference from one arm, and the test against all rivals, if any."""

    effect: CrossedEffect
    against_all: AgainstAll | None = None


def compare(
    scored: Mapping[str, ScoredRuns], plan: Sequence[Planned], score: str, confidence: float = 0.95
) -> list[Compared]:
    """Return the outcome of each planned comparison, corrected over the whole plan.

    Args:
        scored: the runs of each arm.
        plan: the comparisons.
        score: name of the score.
        confidence: 1 minus the level at which claims are made.
    """
    studies = [[scored[name] for name in _trained_alike(plan, each)] for each in plan]
    effects = [
        crossed_difference(scored[each.arm], scored[each.against], confidence, study)
        for each, study in zip(plan, studies, strict=True)
    ]
    hardest = [
        _hardest(scored, each, study, score, confidence) if len(each.rivals) > 1 else None
        for each, study in zip(plan, studies, strict=True)
    ]
    p_against_all = [
        effect.p if all_rivals is None else _p_of(all_rivals.effect)
        for effect, all_rivals in zip(effects, hardest, strict=True)
    ]
    adjusted, adjusted_all = nested_holm([effect.p for effect in effects], p_against_all)
    count = sum(effect.p is not None for effect in effects)
    return [
        Compared(
            _corrected(effect, p, count),
            None
            if rivals is None
            else AgainstAll(rivals.arm, rivals.rivals, score, rivals.closest, _corrected(rivals.effect, p_all, count)),
        )
        for effect, p, rivals, p_all in zip(effects, adjusted, hardest, adjusted_all, strict=True)
    ]


def _trained_alike(plan: Sequence[Planned], planned: Planned) -> list[str]:
    """Return the names of the arms with the same reference, and of the reference.

    Arms with another reference differ in more than their added patches, such as the number of real ones.
    """
    return [planned.against, *dict.fromkeys(each.arm for each in plan if each.against == planned.against)]


def _hardest(
    scored: Mapping[str, ScoredRuns], planned: Planned, study: Sequence[ScoredRuns], score: str, confidence: float
) -> AgainstAll:
    """Return the uncorrected comparison with the rival that is hardest to beat."""
    effects = {
        rival: crossed_difference(scored[planned.arm], scored[rival], confidence, study) for rival in planned.rivals
    }
    closest = max(effects, key=lambda rival: _hardness(effects[rival]))
    return AgainstAll(planned.arm, list(planned.rivals), score, closest, effects[closest])


def _hardness(effect: CrossedEffect) -> tuple[float, float]:
    """Return what orders rivals: without a p-value first, then those not beaten, then by p-value and difference."""
    p = _p_of(effect)
    return (2.0 if p is None else p, -(effect.difference or 0.0))


def _p_of(effect: CrossedEffect) -> float | None:
    """Return the p-value of a gain: 1 for a loss."""
    if effect.p is None or effect.difference is None:
        return None
    return effect.p if effect.difference > 0 else 1.0


def _corrected(effect: CrossedEffect, p: float | None, comparisons: int) -> CrossedEffect:
    """Return an effect with its corrected p-value, and the difference that is detectable after the correction."""
    detectable = effect.detectable
    if effect.std_error is not None and effect.df is not None:
        detectable = detectable_difference(effect.std_error, effect.df, effect.confidence, comparisons)
    return effect.model_copy(update={"p_adjusted": p, "detectable": detectable})
