"""The answer of a leaderboard: the best method by each metric, and the effect of the methods' variants."""

from collections.abc import Mapping, Sequence

from histoforge.core.text import counted, join_words
from histoforge.evaluation.leaderboard_findings import (
    LeaderboardEntry,
    LeaderboardFindings,
    PairedDifference,
    Spread,
)
from histoforge.generators.methods import METHODS, Method
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.metrics.table import METRICS, THREE_DECIMALS, TWO_DECIMALS, Metric
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.formatting import DIFFERENCE, spread_text
from histoforge.reports.text.realism import generator_caveats

HEADLINE_METRICS = {"fid": "FID", "accuracy_synthetic": "accuracy from synthetic patches alone"}


def leaderboard_answer(findings: LeaderboardFindings) -> Answer:
    """Return the first lines. They report means, deviations and overlaps; they call no method better than another."""
    # what others made has no further seed to train
    trained_here = [entry for entry in findings.entries if not entry.origin]
    seeds = min(len(entry.scores) for entry in trained_here or findings.entries)
    lines = [
        *_other_metrics_line(findings),
        _certainty_line(findings, seeds),
        *_entrants_line(findings),
        *variant_lines(findings),
        *_downstream_line(findings),
        _collapse_line(findings),
    ]
    caveats = generator_caveats(
        [(entry.name, scores.realism) for entry in findings.entries for scores in entry.scores if scores.realism]
    )
    if len(findings.entries) == 1:
        entry = findings.entries[0]
        headline = f"Only one method, {entry.name}: FID {spread_text(entry.spread(METRICS['fid']), TWO_DECIMALS)}."
        return Answer("no_comparison", headline, lines, caveats=caveats)
    return Answer("too_few" if seeds < MIN_SEEDS else "no_comparison", _headline(findings), lines, caveats=caveats)


def overlap(first: Spread, second: Spread) -> bool:
    """Test whether two means lie within the sum of their deviations; true for single seeds, whose spread is unknown."""
    if first.mean is None or second.mean is None:
        return False
    if first.std is None or second.std is None:
        return True
    return abs(first.mean - second.mean) <= first.std + second.std


def variant_lines(findings: LeaderboardFindings) -> list[str]:
    """Describe the effect of each method's variants, such as the guide's reward, at equal seeds."""
    return [line for method in findings.variants for line in _variant_lines(findings, METHODS[method])]


def _variant_lines(findings: LeaderboardFindings, method: Method) -> list[str]:
    control, *variants = findings.variants[method.name]
    if not control.is_control:
        return [
            f"The control '{method.control}' of {method.name} is missing, so the effect of {method.variant_label} "
            "cannot be measured."
        ]
    if not variants:
        return [
            *_same_weights(findings, control),
            f"The only variant of {method.name} compared here is '{method.control}', the control, so the effect of "
            f"{method.variant_label} cannot be measured.",
        ]
    pairs = findings.paired(method.name, "fid")
    effects = "; ".join(f"{pair.variant} {paired_text(pair)}" for pair in pairs)
    return [
        *_same_weights(findings, control),
        f"Effect of {method.variant_label}: FID minus that of {control.name} ({method.variants[method.control]}) at "
        f"equal seeds: {effects}.",
        *_other_extractors_line(findings, method.name, pairs),
    ]


def paired_text(pair: PairedDifference) -> str:
    """Return text such as '-1.2 on average, -2.1 at seed 0, -0.3 at seed 1 (the same sign at all 2 seeds)'."""
    spread = pair.differences
    if spread.mean is None:
        return "has no seed in common with the control"
    by_seed = ", ".join(f"{value:{DIFFERENCE}} at seed {seed}" for seed, value in spread.values.items())
    signs = _signs(pair)
    if spread.n == 1:
        note = "one seed is not enough to show an effect"
    elif signs == {0}:
        note = "no difference at any seed"
    else:
        note = "the signs differ" if len(signs) > 1 else f"the same sign at all {spread.n} seeds"
    return f"{spread.mean:{DIFFERENCE}} on average, {by_seed} ({note})"


def _other_extractors_line(findings: LeaderboardFindings, method: str, pairs: Sequence[PairedDifference]) -> list[str]:
    """Compare with other extractors, because the features of one small classifier are only one view."""
    pairs_by_extractor = findings.paired_by_extractor(method)
    if not pairs_by_extractor:
        return []
    texts, signs = [], {pair.variant: _signs(pair) for pair in pairs}
    for extractor, other_pairs in pairs_by_extractor.items():
        measured_pairs = [pair for pair in other_pairs if pair.differences.mean is not None]
        means = ", ".join(f"{pair.variant} {pair.differences.mean:{DIFFERENCE}}" for pair in measured_pairs)
        texts.append(f"{means} by {extractor}")
        for pair in measured_pairs:
            signs[pair.variant] |= _signs(pair)
    line = f"The same difference in the features of other extractors, on average: {'; '.join(texts)}."
    unsure = [variant for variant, variant_signs in signs.items() if len(variant_signs) > 1]
    if unsure:
        line += f" The sign of {join_words(unsure)} depends on the extractor or the seed, so no effect is shown."
    return [line]


def _signs(pair: PairedDifference) -> set[int]:
    return {(value > 0) - (value < 0) for value in pair.differences.values.values()}


def _same_weights(findings: LeaderboardFindings, control: LeaderboardEntry) -> list[str]:
    """Report the seeds at which the control and another method have equal weights, as they must on a processor."""
    weights = {scores.seed: scores.digests.weights for scores in control.scores}
    lines = []
    for other in (entry for entry in findings.entries if not entry.variant):
        seeds = [str(scores.seed) for scores in other.scores if weights.get(scores.seed) == scores.digests.weights]
        if seeds:
            noun = "seed" if len(seeds) == 1 else "seeds"
            lines.append(
                f"{control.name} and {other.name} have bitwise identical weights at {noun} {join_words(seeds)}."
            )
    return lines


def _headline(findings: LeaderboardFindings) -> str:
    best = _best_by(findings, [METRICS[key] for key in HEADLINE_METRICS])
    if not best:
        return "No method is ahead of the others: see the leaderboard."
    return "; ".join(f"{name} has {' and '.join(phrases)}" for name, phrases in best.items()) + "."


def _other_metrics_line(findings: LeaderboardFindings) -> list[str]:
    """Name the best method by each metric that the headline does not report."""
    if len(findings.entries) == 1:
        return []
    metrics = [metric for metric in METRICS.values() if metric.phrase and metric.name not in HEADLINE_METRICS]
    best = _best_by(findings, metrics)
    phrases = "; ".join(f"{name} has {join_words(phrases)}" for name, phrases in best.items())
    return [f"By other metrics: {phrases}."] if best else []


def _best_by(findings: LeaderboardFindings, metrics: Sequence[Metric]) -> Mapping[str, Sequence[str]]:
    """Return, for each method that is best by some of the metrics, phrases such as 'the lowest FID (44.04 ± 1.20)'."""
    phrases: dict[str, list[str]] = {}
    for metric in metrics:
        best = findings.best(metric)
        if best is not None:
            value = " ".join(filter(None, (spread_text(best.spread(metric), metric.format), metric.unit)))
            phrases.setdefault(best.name, []).append(f"{metric.phrase} ({value})")
    return phrases


def _certainty_line(findings: LeaderboardFindings, seeds: int) -> str:
    text = (
        f"Values are means ± standard deviations over {counted(seeds, 'seeds')} per method; methods are not tested "
        "against each other."
    )
    if seeds < MIN_SEEDS:
        return f"{text} So few seeds cannot distinguish methods: the numbers describe these runs only."
    close = [name for key, name in HEADLINE_METRICS.items() if _is_close(findings, METRICS[key])]
    if close:
        return f"{text} In {' and in '.join(close)}, the two best methods lie within their deviations of each other."
    return text


def _entrants_line(findings: LeaderboardFindings) -> list[str]:
    names = [entry.name for entry in findings.entries if entry.origin]
    if not names:
        return []
    return [
        f"Made elsewhere and judged by the same measures: {join_words(names)}. Each has a single value, without a "
        "deviation over seeds, and nothing here can tell which patients it was made from."
    ]


def _is_close(findings: LeaderboardFindings, metric: Metric) -> bool:
    ranking = findings.ranking(metric)
    return len(ranking) > 1 and overlap(ranking[0].spread(metric), ranking[1].spread(metric))


def _downstream_line(findings: LeaderboardFindings) -> list[str]:
    metric = METRICS["accuracy_synthetic"]
    ranking = findings.ranking(metric)
    if not ranking or findings.baseline is None:
        return []
    best = findings.best(metric)
    return [
        f"On the test split ({counted(findings.test_patches, 'patches')} of "
        f"{counted(findings.test_units, findings.units)}), classifiers trained on real patches alone reach an accuracy "
        f"of {spread_text(findings.baseline.accuracy, THREE_DECIMALS)}, and those trained on synthetic patches alone "
        f"at most {spread_text(ranking[0].spread(metric), THREE_DECIMALS)}{f' ({best.name})' if best else ''}."
    ]


def _collapse_line(findings: LeaderboardFindings) -> str:
    signs = []
    for entry in findings.entries:
        classes = dict.fromkeys(name for scores in entry.scores for name in scores.diversity.collapsed)
        if classes:
            signs.append(f"{entry.name} ({', '.join(classes)})")
    if signs:
        return f"Signs of mode collapse (little spread, or few distinct neighbours): {', '.join(signs)}."
    checked = any(scores.diversity.classes for entry in findings.entries for scores in entry.scores)
    return "No method shows signs of mode collapse." if checked else "Too few patches to check for mode collapse."
