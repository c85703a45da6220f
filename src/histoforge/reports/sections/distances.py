"""The sections on how close synthetic patches are to real ones: generative metrics by extractor."""

from collections.abc import Mapping, Sequence

from histoforge.evaluation.findings import Findings
from histoforge.evaluation.leaderboard_entries import mean_distances
from histoforge.evaluation.leaderboard_findings import LeaderboardEntry, LeaderboardFindings
from histoforge.evaluation.spaces import DISTANCES, swapped_pairs
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.table import METRICS, Metric, feature_metrics
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, Text
from histoforge.reports.plots.training import generator_figures
from histoforge.reports.plots.unified_training import unified_figures
from histoforge.reports.sections.patches import file_figure
from histoforge.reports.sections.realism import check_table
from histoforge.reports.text.formatting import MISSING, metric_text, value_text
from histoforge.reports.text.realism import precision_text

STUDY_READING = (
    "Selection uses the first extractor, which therefore favours selected patches; rely on the last of the "
    "classifiers, and on pixel statistics and random convolutions, which no patches have trained. A second seed is the "
    "same network trained on the same patches and shares much of the first one's view; another architecture "
    "(train_classifier's judge_backbone) shares less of it. Real patches of other patients show how low a distance can "
    "be here, and the rows below them what it takes for real: the same patches encoded as JPEG of quality 75, blurred, "
    "with shuffled pixels, and random noise."
)
LEADERBOARD_READING = (
    "Values of different extractors cannot be compared, and an FID can be compared only at equal numbers of patches. "
    "Real patches of other patients show how low a distance can be here. The same patches encoded as JPEG of quality "
    "75, blurred or with shuffled pixels, and random noise show what an extractor takes for real. "
    "The paper's table (44.04 to 376.57, on 5,000 patches) is based on another extractor and other data."
)


def generator_section(findings: Findings) -> Section:
    """Show the generator's training, its pictures, and the distance of its patches to real ones."""
    figures = []
    for name in _separate_models(findings):
        prefix = f"{name}: " if name else ""
        curves = {key.removeprefix(prefix): curve for key, curve in findings.curves.items() if key.startswith(prefix)}
        figures += generator_figures(curves, findings.chosen_epochs.get(name), name)
        figures += unified_figures(curves, findings.classes)
    blocks: list[Block] = [Figures(figures)] if figures else []
    if findings.pictures:
        blocks.append(Figures([file_figure(file, 720) for file in findings.pictures], wide=True))
    failed = {check.extractor for check in findings.checks if not check.passed}
    for extractor in dict.fromkeys(row.metrics.extractor for row in findings.generative):
        rows = [row for row in findings.generative if row.metrics.extractor == extractor]
        smallest = min(rows, key=lambda row: min(row.metrics.n_fake, row.metrics.n_real))
        named_rows = [[Cell(row.subset, f"against {row.against}"), *_metric_cells(row.metrics)] for row in rows]
        note = " ".join(filter(None, (precision_text(rows), smallest.metrics.note)))
        blocks.append(_distance_table(extractor, named_rows, note, failed=extractor in failed))
    if findings.generative:
        blocks.append(Text([_metric_texts(), STUDY_READING]))
    lead = "Did the generator learn, and how close are its patches to real ones?"
    return Section("generator", "The generator", lead, blocks)


def distances_section(findings: LeaderboardFindings) -> Section:
    """Show the generative metrics of each extractor, with the values that real patches of other patients reach."""
    first = findings.entries[0].scores[0]
    tables = []
    for metrics in first.generative:
        rows = [_entry_row(entry, metrics.extractor) for entry in findings.entries]
        references = {"real patches of other patients": first.held_out, **first.references}
        rows += [
            [Cell(name, "validation split"), *_metric_cells(row)]
            for name, of_extractors in references.items()
            for row in of_extractors
            if row.extractor == metrics.extractor
        ]
        failed = any(not check.passed for check in first.extractor_checks if check.extractor == metrics.extractor)
        tables.append(_distance_table(metrics.extractor, rows, metrics.note, failed))
    lead = "How close are the synthetic patches to the real training patches, according to each extractor?"
    checks = [check_table(first.extractor_checks)] if first.extractor_checks else []
    names = [entry.name for entry in findings.entries]
    distances = {metric: mean_distances(findings.entries, metric) for metric in DISTANCES}
    orders = order_tables(distances, names, findings.judges[0])
    return Section(
        "distances", "Distances", lead, [*tables, *orders, *checks, Text([_metric_texts(), LEADERBOARD_READING])]
    )


def order_tables(
    distances: Mapping[str, Mapping[str, Mapping[str, float]]], names: Sequence[str], judge: str
) -> list[Table]:
    """Show each distance of all methods or sets in all spaces, and the pairs that the judge's space orders otherwise.

    Args:
        distances: mean distance by metric, extractor and name.
        names: the methods or sets in the order of the columns; of a single one there is no table.
        judge: the extractor whose order the others are compared with.
    """
    if len(names) < 2:
        return []
    return [_order_table(METRICS[metric], by_space, names, judge) for metric, by_space in distances.items()]


def _order_table(
    metric: Metric, distances: Mapping[str, Mapping[str, float]], names: Sequence[str], judge: str
) -> Table:
    swapped = swapped_pairs(distances, judge)
    rows = []
    for extractor, by_name in distances.items():
        ranked = sorted(by_name, key=lambda name: by_name[name])
        ranks = {name: f"rank {ranked.index(name) + 1}" for name in ranked}
        values = (Cell(value_text(by_name.get(name), metric.format), ranks.get(name, "")) for name in names)
        pairs = "; ".join(f"{nearer} before {other}" for nearer, other in swapped.get(extractor, []))
        rows.append([Cell(extractor, "the judge" if extractor == judge else ""), *values, Cell(pairs or MISSING)])
    return Table(
        f"{metric.title} in each space",
        ["Space", *names, "Order that differs from the judge's"],
        rows,
        note="Pairs count if both spaces show a difference of at least 10%. Values of different spaces cannot be "
        "compared.",
    )


def _separate_models(findings: Findings) -> list[str]:
    """Return the classes that have a network of their own, or [''] if one network serves all classes."""
    names = [name for name in findings.classes if any(key.startswith(f"{name}: ") for key in findings.curves)]
    return names or [""]


def _distance_table(extractor: str, rows: Sequence[Sequence[Cell]], note: str, failed: bool = False) -> Table:
    columns = ["Patches", "Number", *(metric.title for metric in feature_metrics())]
    mark = " (failed its check)" if failed else ""
    caption = f"Distance of synthetic to real patches in the features of {extractor}{mark}"
    return Table(caption, columns, rows, note=note)


def _metric_texts() -> str:
    return " ".join(metric_text(metric) for metric in feature_metrics())


def _metric_cells(metrics: GenerativeMetrics) -> list[Cell]:
    number = Cell(f"{metrics.n_fake:,}", f"against {metrics.n_real:,}")
    values = ((metric.scaled(metrics.value(metric.name)), metric.format) for metric in feature_metrics())
    return [number, *(Cell(value_text(value, form)) for value, form in values)]


def _entry_row(entry: LeaderboardEntry, extractor: str) -> list[Cell]:
    rows = [row for scores in entry.scores for row in scores.generative if row.extractor == extractor]
    numbers = sorted({(row.n_fake, row.n_real) for row in rows})
    fakes, reals = (", ".join(f"{counts[side]:,}" for counts in numbers) for side in (0, 1))
    cells = [Cell(entry.name), Cell(fakes or MISSING, f"against {reals}" if reals else "")]
    for metric in feature_metrics():
        spread = entry.spread_by(metric, extractor)
        std = "" if spread.std is None else f"± {spread.std:{metric.format}}"
        cells.append(Cell(value_text(spread.mean, metric.format), std))
    return cells
