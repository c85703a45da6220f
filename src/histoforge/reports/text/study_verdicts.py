"""The verdicts that the numbers of a study allow."""

from collections.abc import Sequence
from dataclasses import dataclass

from histoforge.evaluation.study_findings import ArmFindings, Difference, StudyFindings, Verdict
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.metrics.crossed import ALONE_IN_A_CLASS, CrossedEffect

VERDICTS = {
    "better": "better",
    "worse": "worse",
    "no_difference": "no difference found",
    "too_few": "too few to tell",
    "not_learned": "no claim: not shown to have learned",
}


@dataclass(frozen=True)
class StudyVerdict:
    """The claim of a study with at least two arms.

    Attributes:
        verdict: the claim about `best`.
        best: the arm that the answer speaks of.
        difference: its difference from its reference.
        unlearned: arms that are not shown to have learned; no claim is made of them.
    """

    verdict: Verdict
    best: ArmFindings
    difference: Difference
    unlearned: list[ArmFindings]


def study_verdict(study: StudyFindings) -> StudyVerdict:
    """Judge every arm, and choose the one that the answer speaks of.

    An arm is better if the analysis over patients and training runs (`metrics.crossed`) says so after the correction
    over all comparisons. If there are arms with synthetic patches, the study asks about them: one of them must be
    better than every arm without. If several are, the one with the highest mean is chosen.
    """
    unlearned = [arm for arm in study.arms if study.learned(arm.name) is False]
    differences = {arm.name: required_difference(study, arm) for arm in study.challengers}
    verdicts = {name: verdict_of(study, difference) for name, difference in differences.items()}
    judged = [arm for arm in study.challengers if verdicts[arm.name] != "not_learned"]
    better = [arm for arm in judged if verdicts[arm.name] == "better"]
    synthetic_arms = [arm for arm in study.challengers if arm.synthetic] or study.challengers
    winners = [arm for arm in better if arm in synthetic_arms and beats_all(study, arm)]
    best = best_arm(
        winners or [arm for arm in better if arm in synthetic_arms] or better or judged or synthetic_arms, study.score
    )
    verdict: Verdict = verdicts[best.name]
    if verdict == "better" and not winners:
        verdict = "better_than_reference"
    return StudyVerdict(verdict, best, differences[best.name], unlearned)


def required_difference(study: StudyFindings, arm: ArmFindings) -> Difference:
    """Return the difference of an arm from its reference in the score that decides."""
    difference = study.difference(arm.name, study.score)
    if difference is None:
        raise RuntimeError(f"{arm.name} was compared with no other arm")
    return difference


def verdict_of(study: StudyFindings, difference: Difference) -> Verdict:
    """Return the verdict that a difference supports; 'not_learned' if one of the arms is not shown to have learned."""
    if False in (study.learned(difference.arm), study.learned(difference.against)):
        return "not_learned"
    return effect_verdict(overall(difference))


def beats_all(study: StudyFindings, arm: ArmFindings) -> bool:
    """Return whether an arm is better than all arms without synthetic patches, given that it beats its reference."""
    against_all = study.beaten(arm.name, study.score)
    return against_all is None or effect_verdict(against_all.effect) == "better"


def effect_verdict(effect: CrossedEffect) -> Verdict:
    """Return the verdict that a comparison supports."""
    p = effect.p if effect.p_adjusted is None else effect.p_adjusted
    if shortages(effect):
        return "too_few"
    if p is None or effect.difference is None or p >= 1 - effect.confidence:
        return "no_difference"
    return "better" if effect.difference > 0 else "worse"


def overall(difference: Difference) -> CrossedEffect:
    """Return the comparison over patients and runs."""
    if difference.overall is None:
        raise RuntimeError(f"{difference.arm} and {difference.against} lack the comparison over patients and runs")
    return difference.overall


def shortages(effect: CrossedEffect) -> list[str]:
    """Return what a claim lacks: 'patients', 'seeds', or 'classes' if one patient alone has a class."""
    return [
        *(["patients"] if effect.patients < MIN_PATIENTS else []),
        *(["seeds"] if min(effect.runs, effect.reference_runs) < MIN_SEEDS else []),
        *(["classes"] if effect.note == ALONE_IN_A_CLASS else []),
    ]


def best_arm(arms: Sequence[ArmFindings], score: str) -> ArmFindings:
    """Return the arm with the highest mean score."""
    return max(arms, key=lambda arm: -1.0 if (mean := arm.scores[score].mean) is None else mean)
