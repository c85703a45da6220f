"""The leaderboard's sections on single measures: distances, labels, paths, variety, copies and costs."""

from collections.abc import Callable

from histoforge.core.text import duration
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.evaluation.leaderboard_findings import THREE, TWO, WHOLE, LeaderboardEntry, LeaderboardFindings, Spread
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.reports.layout.blocks import Block, Cell, Section, Table, Text
from histoforge.reports.sections.leaderboard import table_of
from histoforge.reports.text.leaderboard_answer import spread_text

DISTANCES = (
    ("fid", TWO, 1), ("kid", TWO, 1000), ("precision", THREE, 1), ("recall", THREE, 1), ("density", THREE, 1),
    ("coverage", THREE, 1),
)  # fmt: skip
DISTANCE_TITLES = ("FID", "KID x 1000", "Precision", "Recall", "Density", "Coverage")


def distances_section(found: LeaderboardFindings) -> Section:
    """Show all generative metrics by every extractor, with the values that real patches of other patients reach."""
    first = found.entries[0].scores[0]
    tables: list[Block] = []
    for extractor in dict.fromkeys(row.extractor for row in first.generative):
        rows = [_distance_row(one, extractor) for one in found.entries]
        rows += [_real_row(row) for row in first.held_out if row.extractor == extractor]
        note = next(row.note for row in first.generative if row.extractor == extractor)
        tables.append(
            Table(
                caption=f"Distance to training patches, features of {extractor}",
                columns=["Patches", "Number", *DISTANCE_TITLES],
                rows=rows,
                note=note,
            )
        )
    words = (
        "FID and KID: lower is nearer. Precision: share of synthetic patches that look real; recall and coverage: "
        "share of the real variety that is reached; density: how crowded the synthetic ones lie among real ones. "
        "Numbers of different extractors do not compare, and an FID compares at equal numbers of patches alone: the "
        "paper's table (44.04 to 376.57, on 5,000 patches) rests on another extractor and other data."
    )
    lead = "How near are the synthetic patches to the real ones, in the eyes of each extractor?"
    return Section("distances", "Distances", lead, [*tables, Text([words])])


def labels_section(found: LeaderboardFindings) -> Section:
    """Show Table IV of the paper, described as what it measures."""
    rows = []
    for one in found.entries:
        micro = _over(one, lambda s: s.labels.micro)
        macro = (
            _over(one, lambda s: s.labels.precision), _over(one, lambda s: s.labels.recall),
            _over(one, lambda s: s.labels.f1),
        )  # fmt: skip
        rows.append([Cell(one.name), *(Cell(spread_text(spread, THREE)) for spread in (micro, *macro))])
    first = found.entries[0].scores[0].labels
    table = Table(
        caption=f"Labels of the synthetic patches as {first.classifier} sees them, mean ± deviation over seeds",
        columns=["Method", "Micro P = R = F1", "Macro precision", "Macro recall", "Macro F1"],
        rows=rows,
        note="Micro precision, recall and F1 are one number, the share of patches whose class is found. Macro: mean "
        "over the classes.",
    )
    text = (
        "Table IV of the paper prints equal precision, recall and F1 (0.95; 0.86 for LSGAN, 0.88 for SNGAN), as micro "
        "averages of a classifier always are. So this is what it measures here: whether a classifier that was trained "
        "on real patches finds the class that a patch was drawn as (A0-12). It says nothing of variety: a generator "
        "that draws one perfect patch a class scores 1. Precision and recall of distributions stand in the leaderboard."
    )
    lead = "Do the synthetic patches show the class that they were drawn as?"
    return Section("labels", "Labels (Table IV)", lead, [Text([text]), table])


def paths_section(found: LeaderboardFindings) -> Section:
    """Show both path lengths."""
    measured = [one for one in found.entries if any(scores.paths for scores in one.scores)]
    missing = dict.fromkeys(
        f"{one.name}: {scores.paths_note}." for one in found.entries for scores in one.scores if scores.paths is None
    )
    if not measured:
        return Section("paths", "Path lengths", "", [Text(list(missing))] if missing else [])
    paths = next(scores.paths for one in measured for scores in one.scores if scores.paths)
    table = table_of(
        found,
        f"Path lengths in latent space, {paths.pairs:,} pairs of points, {paths.distance}",
        ("path_length", "ppl", "spread"),
        f"Path length: the paper's, the sum of distances along {paths.steps} linear steps. PPL: the standard one "
        f"(Karras et al. 2019), distance over {paths.epsilon:g} of the path, divided by its square, walked by "
        f"{paths.interpolation}. Both in float32. Spread: see mode collapse.",
    )
    text = (
        "The paper takes a short path for a smooth latent space (3.2e-8 for its own method, 1e-4 to 7e-4 for the "
        "others; those fit neither definition, A0-11). A generator that draws almost the same patch everywhere has a "
        "short path too: read it beside the spread."
    )
    return Section(
        "paths", "Path lengths", "How far do patches move along a path of noise?", [table, Text([text, *missing])]
    )


def collapse_section(found: LeaderboardFindings) -> Section:
    """Show signs of mode collapse, class by class."""
    rows = []
    for one in found.entries:
        for name in found.classes:
            rows += _collapse_rows(one, name)
    if not rows:
        return Section("collapse", "Mode collapse", "", [])
    table = Table(
        caption="Variety within each class, mean over seeds",
        columns=["Method", "Class", "Spread", "Distinct", "Distinct, real", "Signs"],
        rows=rows,
        note="Spread: mean distance of two synthetic patches, divided by that of two real ones (1: as varied). "
        "Distinct: share of synthetic patches that are nearest to a real patch of their own; beside it the same for "
        "real patches. A sign: less than half of what real patches show, in so many of the seeds; few distinct "
        "neighbours also come from patches that lie outside the real ones. Features of "
        f"{', '.join(found.judges)}.",
    )
    return Section("collapse", "Signs of mode collapse", "Does a generator draw the same few patches again?", [table])


def memorisation_section(found: LeaderboardFindings) -> Section:
    """Show whether a generator copied its training patches."""
    rows = []
    for one in found.entries:
        audits = [scores.memorisation for scores in one.scores if scores.memorisation is not None]
        if audits:
            duplicates = sum(len(audit.duplicates or []) for audit in audits)
            copied = sum(audit.copied for audit in audits)
            shares = (
                Spread.of(dict(enumerate(audit.nearer_than_held_out for audit in audits))),
                Spread.of(dict(enumerate(audit.authenticity for audit in audits))),
            )
            rows.append(
                [
                    Cell(one.name),
                    Cell(f"{duplicates:,}"),
                    *(Cell(spread_text(spread, THREE)) for spread in shares),
                    Cell(f"{copied} of {len(audits)}", tone="bad" if copied else ""),
                ]
            )
    if not rows:
        return Section("memorisation", "Memorisation", "", [])
    table = Table(
        caption="Memorisation audit, mean ± deviation over seeds",
        columns=["Method", "Exact copies", "Nearer than held out", "Authenticity", "Generators that copied"],
        rows=rows,
        note="Nearer than held out: chance that a synthetic patch is nearer to training patches than a real validation "
        "patch is; well above 0.5 speaks of copying (Meehan et al. 2020). Authenticity: Alaa et al. 2022.",
    )
    return Section("memorisation", "Memorisation", "Are synthetic patches copies of training patches?", [table])


def costs_section(found: LeaderboardFindings) -> Section:
    """Show time and memory."""
    rows = []
    for one in found.entries:
        first = one.scores[0]
        training = _over(one, lambda scores: scores.training_seconds)
        size = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in first.parameters.items()) or "n/a"
        rows.append(
            [
                Cell(one.name, f"{first.training_steps:,} steps" if first.training_steps else ""),
                Cell("n/a" if training.mean is None else duration(training.mean)),
                Cell(spread_text(_over(one, lambda scores: scores.drawing.seconds_per_thousand), TWO)),
                Cell(
                    spread_text(_over(one, lambda scores: scores.drawing.peak_memory_mb), WHOLE),
                    first.drawing.memory_of,
                ),
                Cell(size),
            ]
        )
    drawing = found.entries[0].scores[0].drawing
    table = Table(
        caption="Costs, mean ± deviation over seeds",
        columns=["Method", "Training", "Seconds a thousand patches", "Peak memory, MB", "Parameters"],
        rows=rows,
        note=f"Drawn in batches of {drawing.batch_size} on {drawing.device} at {drawing.precision}. Memory of the "
        "process holds whatever else it had loaded; that of a GPU does not.",
        stacked=True,
    )
    return Section("costs", "Costs", "What does a patch cost?", [table])


def _over(one: LeaderboardEntry, value: Callable[[GeneratorScores], float | None]) -> Spread:
    return one.over_seeds(value)


def _distance_row(one: LeaderboardEntry, extractor: str) -> list[Cell]:
    rows = {scores.seed: row for scores in one.scores for row in scores.generative if row.extractor == extractor}
    numbers = sorted({(row.n_fake, row.n_real) for row in rows.values()})
    counts = Cell(", ".join(f"{fake:,}" for fake, _ in numbers), f"against {', '.join(f'{r:,}' for _, r in numbers)}")
    cells = [Cell(one.name), counts]
    for key, form, scale in DISTANCES:
        spread = Spread.of({seed: _scaled(row, key, scale) for seed, row in rows.items()})
        mean = "n/a" if spread.mean is None else f"{spread.mean:{form}}"
        cells.append(Cell(mean, "" if spread.std is None else f"± {spread.std:{form}}"))
    return cells


def _real_row(row: GenerativeMetrics) -> list[Cell]:
    values = [_scaled(row, key, scale) for key, _, scale in DISTANCES]
    shown = [
        "n/a" if value is None else f"{value:{form}}" for value, (_, form, _) in zip(values, DISTANCES, strict=True)
    ]
    return [
        Cell("real patches", "validation split"),
        Cell(f"{row.n_fake:,}", f"against {row.n_real:,}"),
        *map(Cell, shown),
    ]


def _scaled(row: GenerativeMetrics, key: str, scale: float) -> float | None:
    value = getattr(row, key)
    return None if value is None else float(value) * scale


def _collapse_rows(one: LeaderboardEntry, name: str) -> list[list[Cell]]:
    rows = [row for scores in one.scores for row in scores.diversity.classes if row.class_name == name]
    if not rows:
        return []
    spreads = (
        Spread.of(dict(enumerate(getattr(row, key) for row in rows))) for key in ("spread", "distinct", "distinct_real")
    )
    signs = sum(row.collapsed for row in rows)
    return [
        [
            Cell(one.name),
            Cell(name),
            *(Cell(spread_text(spread, TWO)) for spread in spreads),
            Cell(f"{signs} of {len(rows)}", tone="bad" if signs else ""),
        ]
    ]
