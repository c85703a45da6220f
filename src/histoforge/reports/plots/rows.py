"""Figures with one row per arm or method: a mean, its single seeds, and its interval."""

from collections.abc import Sequence

import numpy as np

from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, StudyFindings
from histoforge.metrics.table import Metric
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import FAINT, INK, colour, draw_rows
from histoforge.reports.text.formatting import UNDEFINED, constant_caption, reference_title, value_text


def scores_figure(study: StudyFindings) -> Figure:
    """Plot each arm's score: one dot per seed, the mean, and its interval over patients."""
    name = SCORE_NAMES[study.score]
    with draw_rows(_titles(study.arms), name) as drawing:
        axes = drawing.axes
        for row, arm in enumerate(study.arms):
            score = arm.scores[study.score]
            tint = INK if arm.name == study.reference else colour(row)
            seeds = [value for value in score.seeds if value is not None]
            axes.plot(seeds, np.full(len(seeds), row), "o", markersize=3.5, color=tint, alpha=0.45, markeredgewidth=0)
            if score.low is not None and score.high is not None:
                axes.plot([score.low, score.high], [row, row], color=tint, linewidth=1.4)
            if score.mean is not None:
                fill = "none" if arm.control else tint
                axes.plot(score.mean, row, "D", markersize=5.5, color=tint, markerfacecolor=fill)
        constant = study.constant.scores.get(study.score) if study.constant else None
        if constant is not None:
            axes.axvline(constant, color=FAINT, linewidth=1, linestyle=":")
    means = "; ".join(
        f"{arm.title} {value_text(arm.scores[study.score].mean, missing=UNDEFINED)}" for arm in study.arms
    )
    control = ", open for the positive control" if study.control else ""
    return Figure(
        alt=f"{name} of each arm: {means}.",
        caption=f"{name} on the test split. Diamond: mean over seeds{control}; small dots: single seeds; line: "
        f"{study.confidence:.0%} interval of the mean over test {study.units} and training runs. "
        f"{constant_caption(study)}Overlapping intervals do not show that "
        "two arms are equal: compare arms by their differences.",
        svg=drawing.svg,
    )


def differences_figure(study: StudyFindings) -> Figure | None:
    """Plot each arm's difference from its reference with both intervals; None without a comparison."""
    rows = [study.difference(arm.name, study.score) for arm in study.challengers]
    differences = [
        (row.arm, row.overall, row.overall.difference)
        for row in rows
        if row is not None and row.overall is not None and row.overall.difference is not None
    ]
    if not differences:
        return None
    arms = [study.arm(name) for name, _, _ in differences]
    reference = reference_title(study)
    with draw_rows(_titles(arms), f"{SCORE_NAMES[study.score]} minus that of {reference}") as drawing:
        axes = drawing.axes
        axes.axvline(0, color=INK, linewidth=1)
        for row, (name, effect, value) in enumerate(differences):
            tint = colour([arm.name for arm in study.arms].index(name))
            if effect.low is not None and effect.high is not None:
                axes.plot([effect.low, effect.high], [row, row], "-", color=tint, linewidth=1.7)
            axes.plot(value, row, "D", markersize=5.5, color=tint)
    values = "; ".join(f"{study.title(name)} {value:+.3f}" for name, _, value in differences)
    return Figure(
        alt=f"Differences from {reference}: {values}.",
        caption=f"Difference from {reference}; right of zero is better. Line: {study.confidence:.0%} interval over "
        f"{study.units} and training runs together, before the correction over all comparisons.",
        svg=drawing.svg,
    )


def spread_figure(findings: LeaderboardFindings, metric: Metric) -> Figure | None:
    """Plot mean, deviation and single seeds of each method in one metric; None if fewer than two methods have it."""
    entries = findings.ranking(metric)
    if len(entries) < 2:
        return None
    with draw_rows([entry.name for entry in entries], metric.title) as drawing:
        for row, entry in enumerate(entries):
            spread = entry.spread(metric)
            tint = colour(findings.entries.index(entry))
            seeds = list(spread.values.values())
            drawing.axes.plot(seeds, [row] * spread.n, "|", color=tint, markersize=9, markeredgewidth=1.2)
            std = spread.std or 0.0
            drawing.axes.errorbar([spread.mean], [row], xerr=[std], fmt="o", color=tint, capsize=3)
    means = ", ".join(f"{entry.name} {entry.spread(metric).mean:{metric.format}}" for entry in entries)
    return Figure(
        alt=f"{metric.title} by method: {means}.",
        caption=f"{metric.title}; {metric.best} is better. Points: mean over seeds; bars: standard deviation over "
        "seeds; strokes: single seeds.",
        svg=drawing.svg,
    )


def _titles(arms: Sequence[ArmFindings]) -> list[str]:
    return [arm.title for arm in arms]
