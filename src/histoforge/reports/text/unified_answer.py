"""The answer of the comparison of one network with two stages: is it better, by how much, and how certain?"""

from collections.abc import Sequence
from dataclasses import replace

from histoforge.core.text import counted, join_words
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, Difference, StudyFindings, Verdict
from histoforge.evaluation.unified import two_stages, unified_network
from histoforge.metrics.crossed import CrossedEffect
from histoforge.reports.text.formatting import (
    UNDEFINED,
    amount,
    effect_interval,
    p_value,
    score_name,
    size_text,
    value_text,
)
from histoforge.reports.text.learning import epochs_line, unlearned_text
from histoforge.reports.text.study_answer import StudyAnswer
from histoforge.reports.text.study_verdicts import best_arm, verdict_of

OPENINGS: dict[Verdict, str] = {
    "better": "One network is better than two stages",
    "worse": "One network is worse than two stages",
    "no_difference": "No difference found between one network and two stages",
}


def unified_answer(study: StudyFindings, answer: StudyAnswer, patches: int) -> StudyAnswer:
    """Return the answer about the unified network and the two-stage system.

    The two-stage system is represented by the arm that `two_stages` chooses on the validation split. The verdict is
    that of `metrics.crossed` for this pair. It is the one comparison that the study was made for, fixed before the test
    split is read, and is not corrected for the others, of which the answer claims nothing.

    Args:
        study: the study.
        answer: the answer about all arms, which is returned as it is if the study does not compare the two.
        patches: number of patches in the test split.
    """
    network, stages = unified_network(study.arms), two_stages(study.arms)
    if network is None or stages is None:
        return answer
    pair = study.difference(network.name, study.score, stages.name)
    if pair is None or pair.overall is None or pair.overall.difference is None:
        return answer
    effect = pair.overall.model_copy(update={"p_adjusted": None})
    difference = replace(pair, overall=effect)
    verdict = verdict_of(study, difference)
    certain = [] if verdict in ("too_few", "not_learned") else [_certainty_line(study, effect, p_value(pair.overall))]
    unlearned = [arm for arm in study.arms if study.learned(arm.name) is False]
    lines = [
        _scores_line(study, network, stages, effect, patches),
        *certain,
        _best_line(study),
        *_unlearned_line(unlearned),
        *epochs_line(unlearned),
    ]
    headline = _headline(study, difference, effect, verdict)
    return replace(answer, verdict=verdict, headline=headline, lines=lines, best=network.name, difference=difference)


def _headline(study: StudyFindings, difference: Difference, effect: CrossedEffect, verdict: Verdict) -> str:
    size = amount(study.score, effect.difference or 0.0)
    result = f"{study.title(difference.arm)} is {size} {study.title(difference.against)} in {score_name(study.score)}"
    if verdict == "not_learned":
        pair = [arm for arm in study.arms if arm.name in (difference.arm, difference.against)]
        return unlearned_text(study, [arm for arm in pair if study.learned(arm.name) is False])
    if verdict not in OPENINGS:
        seeds = min(effect.runs, effect.reference_runs)
        return (
            f"Too few test {study.units} ({effect.patients}) or seeds ({seeds}) to tell whether one network is better "
            f"than two stages. In this test split, the {result}."
        )
    return f"{OPENINGS[verdict]}: the {result}, with {effect_interval(study.score, effect)}."


def _scores_line(
    study: StudyFindings, network: ArmFindings, stages: ArmFindings, effect: CrossedEffect, patches: int
) -> str:
    means = [value_text(arm.scores[study.score].mean, missing=UNDEFINED) for arm in (network, stages)]
    return (
        f"{SCORE_NAMES[study.score]}, mean over {counted(len(network.seeds), 'seeds')}: {means[0]} for the "
        f"{network.title}, one training that draws and classifies patches, against {means[1]} for {stages.title}, "
        "which has the highest accuracy on the validation split of all classifiers trained with synthetic patches of "
        f"a separate generator. Measured on {counted(patches, 'patches')} of "
        f"{counted(effect.patients, study.units)} of the test split, which neither training nor this choice reads."
    )


def _certainty_line(study: StudyFindings, effect: CrossedEffect, corrected: str) -> str:
    other_comparisons = sum(each.score == study.score for each in study.differences) - 1
    line = (
        f"One analysis over {counted(effect.patients, study.units)} and {counted(effect.runs, 'trainings')} each: "
        f"{p_value(effect) or 'no test'}. This comparison was fixed in advance; corrected together with the "
        f"{counted(other_comparisons, 'other comparisons')} of the study, as in the tables: {corrected or 'no test'}."
    )
    if effect.detectable is not None:
        line += f" A true difference of {size_text(study.score, effect.detectable)} is found with a power of 80%."
    return line + " All synthetic patches of the two-stage arms come from one generator."


def _best_line(study: StudyFindings) -> str:
    best = best_arm(study.arms, study.score)
    mean = value_text(best.scores[study.score].mean, missing=UNDEFINED)
    return f"Of all {len(study.arms)} arms, {best.title} has the highest {score_name(study.score)}, {mean}."


def _unlearned_line(unlearned: Sequence[ArmFindings]) -> list[str]:
    if not unlearned:
        return []
    names = join_words([arm.title for arm in unlearned])
    return [f"No claim is made of arms that are not shown to have learned anything: {names}."]
