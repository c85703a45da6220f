"""The leaderboard's section on the guide: how it judges pairs, what its stages contribute, and what it costs."""

from collections.abc import Mapping
from typing import Any

from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.reports.layout.blocks import Block, Cell, Figure, Figures, Section, Table, Text, cells
from histoforge.reports.layout.drawing import FAINT, colour, draw
from histoforge.reports.layout.pictures import picture


def guide_section(found: LeaderboardFindings) -> Section:
    """Build the section from the content of `guide.json`."""
    said = found.guide
    if said is None:
        return Section("guide", "The guide", "", [])
    pairs = said.get("pairs") or {}
    blocks: list[Block] = []
    if said.get("warnings"):
        blocks.append(Text([f"{str(text).rstrip('.')}." for text in said["warnings"]]))
    if pairs:
        blocks += [_pairs_table(said, pairs), *_ablations(said)]
        figures = [figure for figure in (_roc(pairs), _levels(pairs)) if figure is not None]
        if figures:
            blocks.append(Figures(figures))
    if said.get("inference"):
        blocks.append(Text([_cost(said["inference"])]))
    pictures = [(one, *picture(one.path, 720)) for one in found.guide_pictures]
    if pictures:
        shown = [Figure(alt=one.name, caption=one.text, image=image, size=size) for one, image, size in pictures]
        blocks.append(Figures(shown, wide=True))
    lead = f"{said['name']}: does it tell similar from dissimilar patches of patients that it never saw? "
    return Section("guide", "The guide", lead + str(pairs.get("finding", "")), blocks)


def _pairs_table(said: Mapping[str, Any], pairs: Mapping[str, Any]) -> Table:
    rows = [
        ["Pair accuracy", _interval(pairs.get("accuracy"))],
        ["Area under the ROC curve", _interval(pairs.get("auc"))],
    ]
    rows += [
        [f"Similarity, {level.get('about', level.get('level'))}", f"{level['mean']:.3f} ± {level['deviation']:.3f}"]
        for level in pairs.get("levels", [])
    ]
    stages = ", ".join(f"{stage['name']} ({stage['steps']:,} steps)" for stage in said.get("stages", []))
    return Table(
        caption=f"Pairs of held-out patients: {pairs.get('pairs', 0):,} pairs of {pairs.get('patients', 0):,} patients",
        columns=["What", "Value"],
        rows=[cells(*row) for row in rows],
        note=f"Trained in: {stages}. [ ]: bootstrap interval over patients. The paper's claim is that similarity falls "
        "with the level of dissimilarity.",
        words=True,
    )


def _ablations(said: Mapping[str, Any]) -> list[Block]:
    rows = [
        [Cell(name.replace("_", " "), str(one.get("about", ""))), *_scores(one.get("pairs") or {})]
        for name, one in (said.get("ablations") or {}).items()
    ]
    if not rows:
        return []
    whole = [Cell("two stages", "the guide itself"), *_scores(said["pairs"])]
    return [
        Table(
            caption="The same network trained in other ways",
            columns=["Training", "Pair accuracy", "AUC", "Mean similarity by level"],
            rows=[whole, *rows],
            note="The same pairs and the same number of steps for all but the untrained one and single data sets.",
            stacked=True,
        )
    ]


def _scores(pairs: Mapping[str, Any]) -> list[Cell]:
    levels = ", ".join(f"{level['mean']:.3f}" for level in pairs.get("levels", []))
    return [Cell(_interval(pairs.get("accuracy"))), Cell(_interval(pairs.get("auc"))), Cell(levels or "n/a")]


def _roc(pairs: Mapping[str, Any]) -> Figure | None:
    curve = pairs.get("roc") or {}
    x, y = curve.get("false_positive_rate"), curve.get("true_positive_rate")
    if not x or not y:
        return None
    with draw("Dissimilar pairs called similar", "Similar pairs found") as drawing:
        drawing.axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
        drawing.axes.plot(x, y, color=colour(0))
    area = _interval(pairs.get("auc"))
    return Figure(f"ROC curve of the guide's pairs, area {area}.", f"ROC of pairs; area {area}.", svg=drawing.svg)


def _levels(pairs: Mapping[str, Any]) -> Figure | None:
    levels = pairs.get("levels") or []
    if len(levels) < 2:
        return None
    means, spreads = [one["mean"] for one in levels], [one["deviation"] for one in levels]
    with draw("", "Similarity", height=2.6) as drawing:
        drawing.axes.errorbar(range(len(levels)), means, spreads, fmt="o-", color=colour(0), capsize=3)
        drawing.axes.set_xticks(range(len(levels)), [f"level {one['level']}" for one in levels])
        drawing.axes.set_xlim(-0.5, len(levels) - 0.5)
    told = ", ".join(f"level {one['level']} ({one.get('about', '')}) {one['mean']:.3f}" for one in levels)
    return Figure(f"Similarity by level: {told}.", f"Similarity by level of dissimilarity: {told}.", svg=drawing.svg)


def _cost(cost: Mapping[str, Any]) -> str:
    return (
        f"Embedding a batch of {cost.get('batch', 0)} takes {cost.get('seconds', 0):.4g} s "
        f"({cost.get('images_per_second', 0):,.0f} patches a second) on {cost.get('device', '')} at "
        f"{cost.get('precision', '')}; {cost.get('macs_per_image', 0) / 1e6:,.0f} million multiplications a patch."
    )


def _interval(found: Any) -> str:
    if not found or found.get("value") is None:
        return "n/a"
    text = f"{found['value']:.3f}"
    return text if found.get("low") is None else f"{text} [{found['low']:.3f}, {found['high']:.3f}]"
