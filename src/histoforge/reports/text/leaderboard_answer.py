"""The first lines of a leaderboard: the best method by each measure, and the effect of the guide's reward."""

from dataclasses import dataclass

from histoforge.core.text import counted, join_words
from histoforge.evaluation.findings import Verdict
from histoforge.evaluation.leaderboard_findings import (
    CONTROL,
    METRICS,
    THREE,
    TWO,
    LeaderboardEntry,
    LeaderboardFindings,
    Metric,
    PairedDifference,
    Spread,
)
from histoforge.metrics.compare import FEWEST_SEEDS

FIRST = {"fid": "FID", "accuracy_synthetic": "accuracy from synthetic patches alone"}
"""The metrics that the headline reports."""
REWARD_METRICS = ("fid", "kid", "precision", "recall", "ppl", "accuracy_synthetic", "accuracy_both")
"""The metrics by which rewards are compared."""
DIFFERENCE = "+,.3g"
"""Format of a difference, as `format` takes it."""


@dataclass(frozen=True)
class LeaderboardAnswer:
    """The first lines of the page."""

    verdict: Verdict
    headline: str
    lines: list[str]


def answer(found: LeaderboardFindings) -> LeaderboardAnswer:
    """Return the first lines. They report means, deviations and overlaps; they call no method better than another."""
    seeds = min(len(one.scores) for one in found.entries)
    lines = [*_others(found), _how_sure(found, seeds), *reward_lines(found), *_downstream(found), _collapse(found)]
    if len(found.entries) == 1:
        one = found.entries[0]
        headline = f"One method only, {one.name}: FID {spread_text(METRICS['fid'].spread(one), TWO)}."
        return LeaderboardAnswer("no_comparison", headline, lines)
    return LeaderboardAnswer("too_few" if seeds < FEWEST_SEEDS else "no_comparison", _headline(found), lines)


def spread_text(spread: Spread, form: str) -> str:
    """Format a spread: '44.04 ± 1.20', '44.04' for one seed, or 'n/a'. `form` is as `format` takes it."""
    if spread.mean is None:
        return "n/a"
    text = format(spread.mean, form)
    return text if spread.std is None else f"{text}\u00a0±\u00a0{spread.std:{form}}"


def overlap(first: Spread, second: Spread) -> bool:
    """Test whether two means lie within the sum of their deviations; true for single seeds, whose spread is unknown."""
    if first.mean is None or second.mean is None:
        return False
    if first.std is None or second.std is None:
        return True
    return abs(first.mean - second.mean) <= first.std + second.std


def reward_lines(found: LeaderboardFindings) -> list[str]:
    """Describe the effect of the guide's reward at equal seeds."""
    if not found.rewarded:
        return []
    pairs = found.paired("fid")
    if not pairs and found.rewarded[0].reward == CONTROL:
        alone = (
            f"Of the rewards only '{CONTROL}' is here, which cannot change a gradient: so nothing tells what one does."
        )
        return [*_same_weights(found), alone]
    if not pairs:
        return [
            f"There is no '{CONTROL}' reward here, which cannot change a gradient: so nothing tells what the reward "
            "itself does."
        ]
    told = "; ".join(f"{one.reward} {paired_text(one)}" for one in pairs)
    return [
        *_same_weights(found),
        f"RL-EO's reward, FID minus that of '{CONTROL}' (the unguided GAN: this form of the reward cannot change a "
        f"gradient) at equal seeds: {told}.",
        *_by_others(found, pairs),
    ]


def _by_others(found: LeaderboardFindings, pairs: list[PairedDifference]) -> list[str]:
    """Compare with other extractors, because the features of one small classifier are only one opinion."""
    others = found.paired_by_extractor()
    if not others:
        return []
    told, signs = [], {one.reward: _signs(one) for one in pairs}
    for name, seen in others.items():
        known = [one for one in seen if one.differences.mean is not None]
        told.append(f"by {name} {', '.join(f'{one.reward} {one.differences.mean:{DIFFERENCE}}' for one in known)}")
        for one in known:
            signs[one.reward] |= _signs(one)
    line = f"The same by the features of other extractors, on average: {'; '.join(told)}."
    unsure = [reward for reward, own in signs.items() if len(own) > 1]
    if unsure:
        line += f" The sign of {' and '.join(unsure)} depends on the extractor or the seed: no effect is shown."
    return [line]


def _signs(pair: PairedDifference) -> set[int]:
    return {(value > 0) - (value < 0) for value in pair.differences.values.values()}


def _same_weights(found: LeaderboardFindings) -> list[str]:
    """Report the seeds at which the control and an unguided method have equal weights, as they must on a processor."""
    control = next(one for one in found.rewarded if one.reward == CONTROL)
    own = {one.seed: one.digests.weights for one in control.scores}
    told = []
    for other in (one for one in found.entries if not one.reward):
        same = [one.seed for one in other.scores if own.get(one.seed) == one.digests.weights]
        if same:
            seeds = ", ".join(map(str, same))
            told.append(f"{control.name} and {other.name} have the same weights, bit for bit, at seed {seeds}.")
    return told


def paired_text(pair: PairedDifference) -> str:
    """Return text such as '-1.2 on average, at seed 0 -2.1, at seed 1 -0.3 (the same sign at all 2)'."""
    spread = pair.differences
    if spread.mean is None:
        return "has no seed in common"
    each = ", ".join(f"at seed {seed} {value:{DIFFERENCE}}" for seed, value in spread.values.items())
    signs = _signs(pair)
    if spread.n == 1:
        note = "one seed tells nothing"
    elif signs == {0}:
        note = "no difference at all"
    else:
        note = "the signs differ" if len(signs) > 1 else f"the same sign at all {spread.n}"
    return f"{spread.mean:{DIFFERENCE}} on average, {each} ({note})"


def _headline(found: LeaderboardFindings) -> str:
    told: dict[str, list[str]] = {}
    for metric in (METRICS[key] for key in FIRST):
        best = found.best(metric)
        if best is not None:
            told.setdefault(best.name, []).append(_has(metric, best))
    if not told:
        return "No method is ahead of the others: see the leaderboard."
    return "; ".join(f"{name} has {' and '.join(what)}" for name, what in told.items()) + "."


def _has(metric: Metric, one: LeaderboardEntry) -> str:
    return f"{metric.phrase} ({' '.join(filter(None, (spread_text(metric.spread(one), metric.format), metric.unit)))})"


def _others(found: LeaderboardFindings) -> list[str]:
    """Name the best entry by each measure that the headline does not report."""
    if len(found.entries) == 1:
        return []
    told: dict[str, list[str]] = {}
    for metric in METRICS.values():
        if metric.phrase and metric.key not in FIRST and (best := found.best(metric)) is not None:
            told.setdefault(best.name, []).append(_has(metric, best))
    if not told:
        return []
    return [f"By other measures: {'; '.join(f'{name} has {join_words(what)}' for name, what in told.items())}."]


def _how_sure(found: LeaderboardFindings, seeds: int) -> str:
    text = f"Means ± standard deviations over {counted(seeds, 'seeds')} a method; no test is made between methods."
    if seeds < FEWEST_SEEDS:
        return f"{text} So few seeds cannot tell methods apart: the numbers show what was seen, not what is so."
    close = [name for key, name in FIRST.items() if _is_close(found, METRICS[key])]
    if close:
        return f"{text} In {' and in '.join(close)} the best and the next lie within their deviations of each other."
    return text


def _is_close(found: LeaderboardFindings, metric: Metric) -> bool:
    ranking = found.ranking(metric)
    return len(ranking) > 1 and overlap(metric.spread(ranking[0]), metric.spread(ranking[1]))


def _downstream(found: LeaderboardFindings) -> list[str]:
    metric = METRICS["accuracy_synthetic"]
    ranking = found.ranking(metric)
    if not ranking or found.baseline is None:
        return []
    best = found.best(metric)
    return [
        f"On {counted(found.test_patches, 'patches')} of {counted(found.test_units, found.units)} of the test split, "
        f"classifiers from real patches alone reach {spread_text(found.baseline.accuracy, THREE)}; from synthetic "
        f"patches alone at best {spread_text(metric.spread(ranking[0]), THREE)}{f' ({best.name})' if best else ''}."
    ]


def _collapse(found: LeaderboardFindings) -> str:
    told = []
    for one in found.entries:
        classes = dict.fromkeys(name for scores in one.scores for name in scores.diversity.collapsed)
        if classes:
            told.append(f"{one.name} ({', '.join(classes)})")
    if told:
        return f"Signs of mode collapse (little spread, or few distinct neighbours): {', '.join(told)}."
    judged = any(scores.diversity.classes for one in found.entries for scores in one.scores)
    return "No method shows signs of mode collapse." if judged else "Too few patches to look for mode collapse."
