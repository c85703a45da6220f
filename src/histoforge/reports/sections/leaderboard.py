"""The sections of a leaderboard that compare methods metric by metric."""

from collections.abc import Callable, Sequence

from histoforge.core.text import counted, join_words
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.evaluation.leaderboard_findings import (
    USES,
    Downstream,
    LeaderboardEntry,
    LeaderboardFindings,
    Spread,
)
from histoforge.metrics.table import METRICS, THREE_DECIMALS, TWO_DECIMALS, Metric
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, Text, cells
from histoforge.reports.plots.maps import method_maps
from histoforge.reports.plots.rows import spread_figure
from histoforge.reports.text.formatting import MISSING, interval_text, spread_text, value_text

TABLE_IV = (
    "Table IV of the paper prints equal precision, recall and F1 (0.95; 0.86 for LSGAN, 0.88 for SNGAN), as micro "
    "averages of a classifier always are. The table here therefore shows whether a classifier trained on real patches "
    "recognises the class that each patch was drawn as (A0-12). It does not measure variety: a generator that draws "
    "one perfect patch per class scores 1. The leaderboard has the precision and recall of distributions."
)
PATHS_READING = (
    "The paper takes a short path as evidence of a smooth latent space (3.2e-8 for its own method, 1e-4 to 7e-4 for "
    "the others; these values fit neither definition, A0-11). A generator that draws almost the same patch everywhere "
    "also has a short path, so read it together with the spread."
)


def board_section(findings: LeaderboardFindings) -> Section:
    """Show all methods by the main metrics."""
    metrics = findings.main_metrics
    by_features = join_words([metric.title for metric in metrics if metric.compute])
    table = _methods_table(
        findings,
        metrics,
        caption="The leaderboard: mean ± standard deviation over seeds, in ascending order of FID",
        note=f"{by_features}: synthetic against training patches, in the features of {', '.join(findings.judges)} "
        f"({_judge_description(findings)}). Path lengths are not ranked: a short one comes from a smooth generator, or "
        "from one that draws few images.",
    )
    figures = [spread_figure(findings, METRICS[key]) for key in ("fid", "accuracy_synthetic")]
    drawn = [figure for figure in figures if figure is not None]
    descriptions = Table(
        caption="The metrics of the leaderboard",
        columns=["Metric", "Description", "Better"],
        rows=[cells(metric.title, metric.description, metric.best or "neither") for metric in metrics],
        textual=True,
    )
    blocks: list[Block] = [table, *([Figures(drawn)] if drawn else []), descriptions]
    return Section("board", "Leaderboard", "Which method is best, and by which metric?", blocks)


def _judge_description(findings: LeaderboardFindings) -> str:
    if findings.other_architecture:
        return "a classifier of another architecture than the one that chose epochs, trained on the same patches"
    if findings.independent:
        return "another seed of the network that chose epochs, trained on the same patches"
    return "the classifier that chose epochs, which makes the values too favourable"


def downstream_section(findings: LeaderboardFindings) -> Section:
    """Show classifiers trained on synthetic patches, with and without the real ones."""
    rows = []
    if findings.baseline is not None:
        rows.append(_downstream_row(findings, Cell("real patches", USES["real"]), findings.baseline))
    for use, addition in (("synthetic", "alone"), ("both", "and real patches")):
        rows += [
            _downstream_row(findings, Cell(entry.name, addition), entry.downstream[use])
            for entry in findings.entries
            if use in entry.downstream
        ]
    table = Table(
        caption="Accuracy on the real test split: mean ± standard deviation over the generators' seeds",
        columns=["Trained on", "Classifiers", "Accuracy", "Macro accuracy", *findings.classes],
        rows=rows,
        note=f"In square brackets: {findings.confidence:.0%} bootstrap interval over "
        f"{counted(findings.test_units, findings.units)} of the test split; it does not include the variation between "
        "seeds. Macro accuracy: mean over the classes. Columns of classes: share of that class's test patches that are "
        "classified correctly. The paper prints 77.41% for synthetic and 73.24% for real patches, which its own "
        "figures by class contradict (A0-13).",
        stacked=True,
    )
    lead = "Can a classifier learn from the synthetic patches what it needs for real ones?"
    return Section("downstream", "Downstream task", lead, [table] if rows else [])


def _downstream_row(findings: LeaderboardFindings, name: Cell, downstream: Downstream) -> list[Cell]:
    accuracy, macro = (
        Cell(spread_text(spread, THREE_DECIMALS), interval_text(*(interval or (None, None))))
        for spread, interval in (
            (downstream.accuracy, downstream.accuracy_between),
            (downstream.macro_accuracy, downstream.macro_between),
        )
    )
    spreads = [downstream.classes.get(label) for label in findings.classes]
    by_class = [Cell(MISSING if spread is None else spread_text(spread, THREE_DECIMALS)) for spread in spreads]
    return [name, Cell(str(downstream.classifiers)), accuracy, macro, *by_class]


def map_section(findings: LeaderboardFindings) -> Section:
    """Show real and synthetic patches on one map."""
    if findings.map is None:
        return Section("map", "Map", "", [])
    lead = (
        "Where do the synthetic patches lie among the real ones? One t-SNE map of all patches (after PCA to 50 "
        f"dimensions), shown for all methods together and for each alone, in the features of {findings.map.extractor}. "
        "Synthetic patches that lie apart from the grey real ones, or crowd in one spot, differ from them; distances "
        "between groups that are far apart have no meaning."
    )
    return Section("map", "One map of all methods", lead, [Figures(method_maps(findings.map))])


def labels_section(findings: LeaderboardFindings) -> Section:
    """Show Table IV of the paper, described as what it measures."""
    values: tuple[Callable[[GeneratorScores], float | None], ...] = (
        lambda scores: scores.labels.micro,
        lambda scores: scores.labels.precision,
        lambda scores: scores.labels.recall,
        lambda scores: scores.labels.f1,
    )
    table = Table(
        caption=f"Classes of the synthetic patches according to {findings.entries[0].scores[0].labels.classifier}, "
        "mean ± standard deviation over seeds",
        columns=["Method", "Micro P = R = F1", "Macro precision", "Macro recall", "Macro F1"],
        rows=[
            [Cell(entry.name), *(Cell(spread_text(entry.over_seeds(value), THREE_DECIMALS)) for value in values)]
            for entry in findings.entries
        ],
        note="Micro precision, recall and F1 are the same number: the share of patches that are assigned to their "
        "class. Macro: mean over the classes.",
    )
    lead = "Do the synthetic patches show the class that they were drawn as?"
    return Section("labels", "Labels (Table IV)", lead, [Text([TABLE_IV]), table])


def paths_section(findings: LeaderboardFindings) -> Section:
    """Show both path lengths, and name the methods that have none."""
    all_scores = [scores for entry in findings.entries for scores in entry.scores]
    missing = dict.fromkeys(f"{scores.name}: {scores.paths_note}." for scores in all_scores if scores.paths is None)
    paths = next((scores.paths for scores in all_scores if scores.paths), None)
    if paths is None:
        return Section("paths", "Path lengths", "", [Text(list(missing))] if missing else [])
    table = _methods_table(
        findings,
        [METRICS[key] for key in ("path_length", "ppl", "spread")],
        caption=f"Path lengths in latent space, {paths.pairs:,} pairs of points, {paths.distance}",
        note=f"Path length: the paper's definition, the sum of distances along {paths.steps} linear steps. PPL: the "
        f"standard definition (Karras et al. 2019), the distance over {paths.epsilon:g} of the path divided by its "
        f"square, with {paths.interpolation} interpolation. Both in float32. Spread: see mode collapse.",
    )
    lead = "How much do patches change along a path in latent space?"
    return Section("paths", "Path lengths", lead, [table, Text([PATHS_READING, *missing])])


def collapse_section(findings: LeaderboardFindings) -> Section:
    """Show signs of mode collapse, class by class."""
    rows = [
        row
        for entry in findings.entries
        for name in findings.classes
        if (row := _collapse_row(entry, name)) is not None
    ]
    table = Table(
        caption="Variety within each class, mean over seeds",
        columns=["Method", "Class", "Spread", "Distinct", "Distinct, real", "Signs"],
        rows=rows,
        note="Spread: mean distance between two synthetic patches, divided by that between two real ones (1: equally "
        "varied). Distinct: number of different real patches that are nearest neighbours of synthetic ones, as a share "
        "of the synthetic patches; beside it the same for real patches. Signs: number of seeds at which either is less "
        "than half of the value of real patches. Few distinct neighbours can also mean that synthetic patches lie "
        f"outside the real ones. Features of {', '.join(findings.judges)}.",
    )
    lead = "Does a generator draw the same few patches again and again?"
    return Section("collapse", "Signs of mode collapse", lead, [table] if rows else [])


def _collapse_row(entry: LeaderboardEntry, class_name: str) -> list[Cell] | None:
    seeds = [row for scores in entry.scores for row in scores.diversity.classes if row.class_name == class_name]
    if not seeds:
        return None
    spreads = [
        Spread.of(dict(enumerate(getattr(row, key) for row in seeds)))
        for key in ("spread", "distinct", "distinct_real")
    ]
    signs = sum(row.collapsed for row in seeds)
    values = (Cell(spread_text(spread, TWO_DECIMALS)) for spread in spreads)
    return [Cell(entry.name), Cell(class_name), *values, Cell(f"{signs} of {len(seeds)}", tone="bad" if signs else "")]


def _methods_table(findings: LeaderboardFindings, metrics: Sequence[Metric], caption: str, note: str) -> Table:
    """Return a table with one row per method and one column per metric; the best value of a column is labelled."""
    rows = []
    for entry in findings.entries:
        row = [Cell(entry.name, "made elsewhere" if entry.origin else counted(len(entry.scores), "seeds"))]
        for metric in metrics:
            spread, best = entry.spread(metric), findings.best(metric) is entry
            std = [f"± {spread.std:{metric.format}}"] if spread.std is not None else []
            small = "\n".join([*std, *(["best"] if best else [])])
            row.append(Cell(value_text(spread.mean, metric.format), small, tone="good" if best else ""))
        rows.append(row)
    return Table(caption, ["Method", *(metric.title for metric in metrics)], rows, note, stacked=True)
