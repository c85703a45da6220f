"""The leaderboard's section on the variants of methods, such as the guide's reward."""

from collections.abc import Sequence

from histoforge.core.text import join_words, quoted
from histoforge.evaluation.leaderboard_findings import LeaderboardEntry, LeaderboardFindings, PairedDifference
from histoforge.generators.methods import METHODS
from histoforge.metrics.table import METRICS
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, cells
from histoforge.reports.plots.training import balance_figures, variant_figures
from histoforge.reports.text.formatting import DIFFERENCE, value_text
from histoforge.reports.text.leaderboard_answer import variant_lines


def variants_section(findings: LeaderboardFindings) -> Section:
    """Show the variants of each method that has a control, at equal seeds, and their curves."""
    blocks: list[Block] = []
    for method, entries in findings.variants.items():
        blocks.append(_variants_table(method, entries))
        pairs = [pair for pair in findings.variant_pairs(method) if pair.differences.mean is not None]
        if pairs:
            blocks.append(_pairs_table(method, pairs))
        figures = [*variant_figures(entries), *balance_figures(entries)]
        if figures:
            blocks.append(Figures(figures))
    labels = dict.fromkeys(METHODS[method].variant_label for method in findings.variants)
    return Section("reward", f"The effect of {join_words(list(labels))}", " ".join(variant_lines(findings)), blocks)


def _variants_table(method: str, entries: Sequence[LeaderboardEntry]) -> Table:
    return Table(
        caption=f"Variants of {method} in this comparison",
        columns=[METHODS[method].variant_parameter.capitalize(), "Definition"],
        rows=[cells(entry.variant, METHODS[method].variants.get(entry.variant, "")) for entry in entries],
        textual=True,
    )


def _pairs_table(method: str, pairs: Sequence[PairedDifference]) -> Table:
    return Table(
        caption=f"Each variant of {method} minus '{METHODS[method].control}', at the seeds that both have",
        columns=[
            "Metric",
            METHODS[method].variant_parameter.capitalize(),
            "Mean difference",
            "Standard deviation",
            "Seeds",
            "By seed",
        ],
        rows=[_pair_row(pair) for pair in pairs],
        note=f"{_directions(pairs)} Differences are not tested, because there are too few seeds; if signs differ "
        "between seeds, a difference cannot be told from chance.",
        stacked=True,
    )


def _directions(pairs: Sequence[PairedDifference]) -> str:
    """Return a sentence for each direction that is better in some of the metrics compared."""
    metrics = [METRICS[name] for name in dict.fromkeys(pair.metric for pair in pairs)]
    meanings = {
        "lower": "A difference below zero is an improvement in",
        "higher": "A difference above zero is an improvement in",
        "": "Neither direction is better in",
    }
    titles = {best: [metric.title for metric in metrics if metric.best == best] for best in meanings}
    return " ".join(f"{meanings[best]} {join_words(quoted(names))}." for best, names in titles.items() if names)


def _pair_row(pair: PairedDifference) -> list[Cell]:
    spread = pair.differences
    return cells(
        METRICS[pair.metric].title,
        f"{pair.variant} - {pair.control}",
        value_text(spread.mean, DIFFERENCE),
        value_text(spread.std, ",.3g"),
        spread.n,
        ", ".join(f"{seed}: {value:{DIFFERENCE}}" for seed, value in spread.values.items()),
    )
