"""Drawings of the leaderboard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from histoforge.evaluation.leaderboard_findings import LeaderboardEntry, LeaderboardFindings, MethodsMap, Metric
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import PALETTE, dash, draw, marker

Curve = tuple[list[float], list[float]]
REAL = "#9aa4ad"
TINTS = PALETTE[:-1]
"""The palette without grey, which is reserved for real patches."""
ROW_INCHES = 0.27
BALANCE_WORDS = ("d_real", "d_fake", "discriminator", "generator", "critic", "loss")
MOST_LINES = 8
REWARD_CURVES = {
    "reward": "what is taken off the discriminator's loss. The forms differ, so compare shapes and not heights. With "
    "'literal' it is 0.3 times the mean similarity, and rises wherever the generator improves: it shows that, and "
    "drives nothing (A0-10).",
    "similarity": "of fakes and the real patches that they are paired with, 0 to 1, by the guide.",
    "gradient_share": "norm of the reward's gradient over that of the rest of the discriminator's loss: how much it "
    "can do. 0 with 'literal'.",
}
"""Series of a guided generator's history, with an explanation of how to read each."""


def spread_figure(found: LeaderboardFindings, metric: Metric) -> Figure | None:
    """Plot mean, deviation and single seeds of each method in one measure; None if fewer than two methods have it."""
    shown = found.ranking(metric)
    if len(shown) < 2:
        return None
    with draw(metric.title, height=0.75 + ROW_INCHES * len(shown)) as drawing:
        axes = drawing.axes
        for place, one in enumerate(shown):
            spread = metric.spread(one)
            tint = _tint(found.entries.index(one))
            axes.plot(
                list(spread.values.values()), [place] * spread.n, "|", color=tint, markersize=9, markeredgewidth=1.2
            )
            axes.errorbar([spread.mean], [place], xerr=[spread.std or 0.0], fmt="o", color=tint, capsize=3)
        axes.set_yticks(range(len(shown)), [one.name for one in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    told = ", ".join(f"{one.name} {metric.spread(one).mean:{metric.format}}" for one in shown)
    return Figure(
        alt=f"{metric.title} by method: {told}.",
        caption=f"{metric.title}; {metric.best} is better. Points: mean over seeds; bars: standard deviation; strokes: "
        "single seeds.",
        svg=drawing.svg,
    )


def map_figures(found: MethodsMap) -> list[Figure]:
    """Plot the common map with all methods, and once for each method alone; real patches are grey in each."""
    groups = {"all methods": found.methods} if len(found.methods) > 1 else {}
    groups |= {name: {name: own} for name, own in found.methods.items()}
    points = np.concatenate([found.real, *found.methods.values()])
    low, high = points.min(0), points.max(0)
    margin = 0.04 * (high - low + 1e-6)
    order = list(found.methods)
    figures = []
    for title, shown in groups.items():
        with draw(height=2.9 + 0.19 * -(-(len(shown) + 1) // 2)) as drawing:
            axes = drawing.axes
            look: Any = {"linestyle": "none", "markeredgewidth": 0}
            axes.plot(*found.real.T, marker="o", color=REAL, markersize=2.6, alpha=0.6, label="real", **look)
            for name, own in shown.items():
                place = order.index(name)
                shape, tint = marker(place), _tint(place)
                axes.plot(*own.T, marker=shape, color=tint, markersize=3, alpha=0.7, label=name, **look)
            axes.set(xticks=[], yticks=[], title=title)
            axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
            drawing.legend(markerscale=1.6)
        count = sum(len(own) for own in shown.values())
        text = f"{title[0].upper()}{title[1:]}: {count:,} synthetic patches among {len(found.real):,} real ones."
        figures.append(Figure(alt=f"Map. {text}", caption=text, svg=drawing.svg))
    return figures


def fid_figure(entries: Sequence[LeaderboardEntry]) -> Figure | None:
    """Plot FID by epoch during training, one line per method (its lowest seed)."""
    lines = {one.name: line for one in entries if (line := _mean_line(_first(one), "fid")) is not None}
    if not lines:
        return None
    with draw("Epoch", "FID while training") as drawing:
        _lines(drawing.axes, lines, [one.name for one in entries])
        values = [value for _, y in lines.values() for value in y if value > 0]
        if values and max(values) > 20 * min(values):
            drawing.axes.set_yscale("log")
        drawing.legend()
    return Figure(
        alt=f"FID by epoch of {', '.join(lines)}.",
        caption="FID against training patches by the extractor that chose the epoch, at the lowest seed of each "
        "method; where one network a class is trained, the mean over the classes.",
        svg=drawing.svg,
    )


def reward_figures(rewarded: Sequence[LeaderboardEntry]) -> list[Figure]:
    """Plot the guide's output and effect by epoch, one line per reward mode (Figs. 5 and 6 of the paper)."""
    figures = []
    for series, caption in REWARD_CURVES.items():
        lines = {one.reward: line for one in rewarded if (line := _mean_line(_first(one), series)) is not None}
        if lines:
            title = series.replace("_", " ").capitalize()
            with draw("Epoch", title) as drawing:
                _lines(drawing.axes, lines, [one.reward for one in rewarded])
                drawing.legend()
            figures.append(Figure(f"{title} by epoch of {', '.join(lines)}.", f"{title}: {caption}", svg=drawing.svg))
    return figures


def balance_figures(rewarded: Sequence[LeaderboardEntry]) -> list[Figure]:
    """Plot the balance between discriminator and generator, one figure per reward mode."""
    figures = []
    for one in rewarded:
        names = dict.fromkeys(_bare(name) for name in _first(one))
        shown = [name for name in names if any(word in name for word in BALANCE_WORDS)]
        lines = {name: line for name in shown if (line := _mean_line(_first(one), name)) is not None}
        if lines:
            with draw("Epoch", "Mean of the epoch") as drawing:
                _lines(drawing.axes, dict(list(lines.items())[:MOST_LINES]), list(lines))
                drawing.axes.set_title(one.name)
                drawing.legend(columns=3)
            figures.append(
                Figure(
                    alt=f"Balance of {one.name} by epoch: {', '.join(lines)}.",
                    caption=f"{one.name}: discriminator and generator by epoch. A discriminator that always wins "
                    "teaches nothing; one that always loses neither.",
                    svg=drawing.svg,
                )
            )
    return figures


def _tint(place: int) -> str:
    return TINTS[place % len(TINTS)]


def _first(one: LeaderboardEntry) -> Mapping[str, Curve]:
    """Return the curves of the lowest seed."""
    return one.curves.get(min(one.curves), {}) if one.curves else {}


def _bare(name: str) -> str:
    """Strip the class from a series' name: 'tumour: fid' becomes 'fid'."""
    return name.rpartition(": ")[2]


def _mean_line(curves: Mapping[str, Curve], name: str) -> Curve | None:
    """Return the series of that name; if there is one per class, their mean at the epochs that all of them have."""
    own = [dict(zip(*curve, strict=True)) for key, curve in curves.items() if _bare(key) == name]
    if not own:
        return None
    epochs = sorted(set.intersection(*(set(one) for one in own)))
    return (epochs, [float(np.mean([one[epoch] for one in own])) for epoch in epochs]) if epochs else None


def _lines(axes: Axes, lines: Mapping[str, Curve], order: Sequence[str]) -> None:
    for name, (x, y) in lines.items():
        place = list(order).index(name)
        point = "o" if len(x) == 1 else ""
        axes.plot(x, y, color=_tint(place), linestyle=dash(place), marker=point, label=name.replace("_", " "))
