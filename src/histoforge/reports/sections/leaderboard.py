"""The leaderboard's sections on the best methods, the effect of the reward, and the use of the patches."""

from collections.abc import Sequence

from histoforge.core.text import counted
from histoforge.evaluation.leaderboard_findings import (
    CONTROL,
    METRICS,
    THREE,
    USES,
    Downstream,
    LeaderboardEntry,
    LeaderboardFindings,
    Metric,
    Spread,
)
from histoforge.reports.layout.blocks import Block, Cell, Figure, Figures, Section, Table
from histoforge.reports.layout.pictures import picture
from histoforge.reports.plots import leaderboard as plots
from histoforge.reports.text.leaderboard_answer import DIFFERENCE, REWARD_METRICS, reward_lines, spread_text

BOARD = (
    "fid", "kid", "precision", "recall", "accuracy_synthetic", "accuracy_both", "path_length", "ppl",
    "seconds_per_thousand", "peak_memory_mb",
)  # fmt: skip
REWARDS = {
    "literal": "the paper's formula to the letter: a constant for the discriminator, so no gradient; the control",
    "policy": "the expected reward of accepting a fake with probability D: L_D - 0.3 mean(s D)",
    "soft_target": "fakes are asked to score 0.3 s instead of 0",
    "weighted": "the loss of each fake is weighted by 1 - 0.3 s",
    "reinforce": "policy's gradient, estimated from drawn actions",
}
"""Reward modes and their descriptions (A0-10)."""


def board_section(found: LeaderboardFindings) -> Section:
    """Show all methods by all main measures."""
    metrics = [METRICS[key] for key in BOARD if any(METRICS[key].spread(one).n for one in found.entries)]
    extra = _what_the_judge_is(found)
    table = Table(
        caption="The leaderboard: mean ± standard deviation over seeds, by rising FID",
        columns=["Method", *(metric.title for metric in metrics)],
        rows=[[_name(one), *(metric_cell(found, metric, one) for metric in metrics)] for one in found.entries],
        note=f"FID, KID, precision and recall: features of {', '.join(found.judges)} ({extra}), against training "
        "patches. Lower FID and KID are nearer. Accuracy: classifiers on the real test split. Path lengths have no "
        "better end: a short one is a smooth generator, or one that draws few images.",
    )
    figures = [plots.spread_figure(found, METRICS[key]) for key in ("fid", "accuracy_synthetic")]
    drawn = [figure for figure in figures if figure is not None]
    blocks: list[Block] = [table, *([Figures(drawn)] if drawn else [])]
    return Section("board", "Leaderboard", "Which method is best by what?", blocks)


def _what_the_judge_is(found: LeaderboardFindings) -> str:
    if found.other_architecture:
        return "a classifier of another architecture than the one that chose epochs, trained on the same patches"
    if found.independent:
        return "another seed of the network that chose epochs, trained on the same patches"
    return "the classifier that chose epochs, which flatters"


def reward_section(found: LeaderboardFindings) -> Section:
    """Show the guide's reward: its modes at equal seeds, and its curves."""
    if not found.rewarded:
        return Section("reward", "The reward", "", [])
    modes = Table(
        caption="The rewards in this comparison",
        columns=["Reward", "What it is"],
        rows=[[Cell(one.reward), Cell(REWARDS.get(one.reward, ""))] for one in found.rewarded],
        words=True,
    )
    blocks: list[Block] = [modes]
    rows = [row for key in REWARD_METRICS for row in _paired_rows(found, METRICS[key])]
    if rows:
        blocks.append(
            Table(
                caption=f"Each reward minus '{CONTROL}', at the seeds that both have",
                columns=["Measure", "Reward", "Mean difference", "Deviation", "Seeds", "By seed"],
                rows=rows,
                note="A reward helps in FID and KID where the difference is below zero, in the others above it; PPL "
                "has no better end. No test is made: few seeds carry none, and signs that differ between seeds are "
                "chance as far as this shows.",
                stacked=True,
            )
        )
    figures = [*plots.reward_figures(found.rewarded), *plots.balance_figures(found.rewarded)]
    if figures:
        blocks.append(Figures(figures))
    lead = " ".join(reward_lines(found))
    return Section("reward", "What the guide's reward does", lead, blocks)


def downstream_section(found: LeaderboardFindings) -> Section:
    """Show classifiers trained on synthetic patches, with and without the real ones."""
    rows = [] if found.baseline is None else [_downstream_row(found, "real patches", "", found.baseline)]
    rows += [
        _downstream_row(found, one.name, use, one.downstream[use])
        for use in ("synthetic", "both")
        for one in found.entries
        if use in one.downstream
    ]
    if not rows:
        return Section("downstream", "Downstream task", "", [])
    table = Table(
        caption="Accuracy on the real test split: mean ± standard deviation over the generators' seeds",
        columns=["Trained on", "Classifiers", "Accuracy", "Macro accuracy", *found.classes],
        rows=rows,
        note=f"[ ]: {found.confidence:.0%} bootstrap interval over {counted(found.test_units, found.units)} of the "
        "test split; it does not hold the choice of seeds. Macro accuracy: mean over the classes. The columns of "
        "classes: share of that class's test patches that are found. The paper prints 77.41% for synthetic and "
        "73.24% for real patches, which its own class-wise figures contradict (A0-13).",
        stacked=True,
    )
    lead = "Does a classifier learn from the synthetic patches what it needs for real ones?"
    return Section("downstream", "Downstream task", lead, [table])


def patches_section(found: LeaderboardFindings) -> Section:
    """Show samples of each method."""
    figures = []
    for one in found.entries:
        if one.picture is not None:
            image, size = picture(one.picture.path, 560)
            figures.append(Figure(alt=one.picture.name, caption=one.picture.text, image=image, size=size))
    lead = "Would a pathologist take them for their class? Nobody chose among them."
    return Section("patches", "Patches", lead, [Figures(figures)] if figures else [])


def map_section(found: LeaderboardFindings) -> Section:
    """Show real and synthetic patches on one map."""
    if found.map is None:
        return Section("map", "Map", "", [])
    lead = (
        "Where do the synthetic patches lie among the real ones? One t-SNE map of all (PCA to 50 dimensions first), "
        f"shown for all methods and for each; features of {found.map.extractor}. Synthetic patches that lie apart from "
        "the grey real ones, or in one place among them, differ from these; distances between far groups mean nothing."
    )
    return Section("map", "One map of all methods", lead, [Figures(plots.map_figures(found.map))])


def training_section(found: LeaderboardFindings) -> Section:
    """Show FID by epoch."""
    figures = [figure for figure in [plots.fid_figure(found.entries)] if figure is not None]
    lead = "Did each generator learn, and was it still learning when it stopped?"
    return Section("training", "Training of the generators", lead, [Figures(figures)] if figures else [])


def metric_cell(found: LeaderboardFindings, metric: Metric, one: LeaderboardEntry) -> Cell:
    """Return a mean with its deviation below; the best value of the column is labelled."""
    spread = metric.spread(one)
    best = found.best(metric) is one
    small = [f"± {spread.std:{metric.format}}"] if spread.std is not None else []
    return Cell(
        "n/a" if spread.mean is None else f"{spread.mean:{metric.format}}",
        "\n".join([*small, *(["best"] if best else [])]),
        tone="good" if best else "",
    )


def _name(one: LeaderboardEntry) -> Cell:
    return Cell(one.name, counted(len(one.scores), "seeds"))


def _paired_rows(found: LeaderboardFindings, metric: Metric) -> list[list[Cell]]:
    rows = []
    for pair in found.paired(metric.key):
        spread = pair.differences
        if spread.mean is None:
            continue
        each = ", ".join(f"{seed}: {value:{DIFFERENCE}}" for seed, value in spread.values.items())
        rows.append(
            [
                Cell(metric.title),
                Cell(f"{pair.reward} - {pair.against}"),
                Cell(f"{spread.mean:{DIFFERENCE}}"),
                Cell("n/a" if spread.std is None else f"{spread.std:,.3g}"),
                Cell(str(spread.n)),
                Cell(each),
            ]
        )
    return rows


def _downstream_row(found: LeaderboardFindings, name: str, use: str, one: Downstream) -> list[Cell]:
    trained = Cell(name, {"synthetic": "alone", "both": "and real patches", "": USES["real"]}[use])
    scores = [
        Cell(spread_text(spread, THREE), "" if between is None else f"[{between[0]:.3f}, {between[1]:.3f}]")
        for spread, between in ((one.accuracy, one.accuracy_between), (one.macro_accuracy, one.macro_between))
    ]
    classes = [Cell(_short(one.classes.get(label))) for label in found.classes]
    return [trained, Cell(str(one.classifiers)), *scores, *classes]


def _short(spread: Spread | None) -> str:
    return "n/a" if spread is None else spread_text(spread, THREE)


def table_of(
    found: LeaderboardFindings, caption: str, keys: Sequence[str], note: str, columns: Sequence[Metric] = ()
) -> Table:
    """Return a table with one row per method and one column per metric."""
    metrics = [*(METRICS[key] for key in keys), *columns]
    return Table(
        caption=caption,
        columns=["Method", *(metric.title for metric in metrics)],
        rows=[[_name(one), *(metric_cell(found, metric, one) for metric in metrics)] for one in found.entries],
        note=note,
    )
