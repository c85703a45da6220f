"""The sections on training and costs."""

from collections.abc import Sequence
from statistics import median

from histoforge.core.text import duration
from histoforge.evaluation.leaderboard_findings import LeaderboardEntry, LeaderboardFindings
from histoforge.evaluation.study_findings import ArmFindings, StudyFindings
from histoforge.metrics.table import INTEGER, TWO_DECIMALS
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, cells
from histoforge.reports.plots.training import classifier_figures, methods_fid_figure
from histoforge.reports.plots.unified_training import unified_figures
from histoforge.reports.text.formatting import MISSING, spread_text


def classifiers_section(study: StudyFindings) -> Section:
    """Show the training of the classifiers."""
    figures = classifier_figures(study)
    rows = [_classifiers_row(arm) for arm in study.arms if arm.training.epochs]
    table = Table(
        caption="Training of the classifiers",
        columns=["Arm", "Seeds", "Epochs run", "Epoch kept", "Steps", "Time"],
        rows=rows,
        note="One value per seed; of several folds or generators, the range over all classifiers and the median. Time: "
        "all classifiers of the arm together.",
    )
    blocks: list[Block] = [Figures(figures)] if figures else []
    lead = "Did every arm learn, and did its training stop for the right reason?"
    return Section("training", "Training of the classifiers", lead, [*blocks, *([table] if rows else [])])


def _classifiers_row(arm: ArmFindings) -> list[Cell]:
    training = arm.training
    by_classifier = (training.epochs, training.best_epochs, training.steps)
    if len(training.models) > len(set(arm.seeds)):
        return cells(arm.title, arm.size, *map(_range, by_classifier), duration(sum(training.seconds)))
    by_seed = (arm.seeds, *by_classifier)
    return cells(arm.title, *(", ".join(map(str, values)) for values in by_seed), duration(sum(training.seconds)))


def _range(values: Sequence[int | None]) -> str:
    """Return the range and the median of numbers: '2 to 14, median 7'."""
    measured = [value for value in values if value is not None]
    return f"{min(measured):,} to {max(measured):,}, median {median(measured):,.4g}" if measured else MISSING


def generators_section(findings: LeaderboardFindings) -> Section:
    """Show the FID of the generators by epoch."""
    figures = methods_fid_figure(findings.entries)
    for entry in findings.entries:
        figures += unified_figures(
            entry.curves[min(entry.curves)] if entry.curves else {}, findings.classes, entry.name
        )
    lead = "Did each generator learn, and was it still improving when its training stopped?"
    return Section("training", "Training of the generators", lead, [Figures(figures)] if figures else [])


def costs_section(findings: LeaderboardFindings) -> Section:
    """Show time and memory of each method."""
    drawings = [scores.drawing for entry in findings.entries for scores in entry.scores]
    drawing = next((each for each in drawings if each.seconds_per_thousand is not None), None)
    if drawing is None:
        return Section("costs", "Costs", "", [])
    table = Table(
        caption="Costs, mean ± standard deviation over seeds",
        columns=["Method", "Training", "Seconds per thousand patches", "Peak memory, MB", "Parameters"],
        rows=[_costs_row(entry) for entry in findings.entries],
        note=f"Patches were drawn in batches of {drawing.batch_size} (device: {drawing.device}, precision: "
        f"{drawing.precision}). The memory of a process includes everything else that it had loaded; that of a GPU "
        "does not.",
        stacked=True,
    )
    return Section("costs", "Costs", "How much time and memory does each method need?", [table])


def _costs_row(entry: LeaderboardEntry) -> list[Cell]:
    first = entry.scores[0]
    training = entry.over_seeds(lambda scores: scores.training_seconds)
    seconds = entry.over_seeds(lambda scores: scores.drawing.seconds_per_thousand)
    memory = entry.over_seeds(lambda scores: scores.drawing.peak_memory_mb)
    return [
        Cell(entry.name, f"{first.training_steps:,} steps" if first.training_steps else ""),
        Cell(MISSING if training.mean is None else duration(training.mean)),
        Cell(spread_text(seconds, TWO_DECIMALS)),
        Cell(spread_text(memory, INTEGER), first.drawing.memory_of),
        Cell(", ".join(f"{name} {count / 1e6:.2f} M" for name, count in first.parameters.items()) or MISSING),
    ]
