"""The leaderboard's section on the guide: how well it judges pairs, what its stages contribute, and what it costs."""

from collections.abc import Mapping
from typing import Any

from histoforge.evaluation.leaderboard_findings import LeaderboardFindings
from histoforge.reports.layout.blocks import Block, Cell, Figures, Section, Table, Text, cells
from histoforge.reports.plots.guide import guide_figures
from histoforge.reports.sections.patches import file_figure
from histoforge.reports.text.formatting import MISSING, estimate_text


def guide_section(findings: LeaderboardFindings) -> Section:
    """Build the section from the content of `guide.json`."""
    guide = findings.guide
    if guide is None:
        return Section("guide", "The guide", "", [])
    pairs = guide.get("pairs") or {}
    blocks: list[Block] = []
    if guide.get("warnings"):
        blocks.append(Text([f"{str(warning).rstrip('.')}." for warning in guide["warnings"]]))
    if pairs:
        blocks += [_pairs_table(guide, pairs), *_ablations(guide, pairs)]
        figures = guide_figures(pairs)
        blocks += [Figures(figures)] if figures else []
    if guide.get("inference"):
        blocks.append(Text([_cost_text(guide["inference"])]))
    if findings.guide_pictures:
        blocks.append(Figures([file_figure(file, 720) for file in findings.guide_pictures], wide=True))
    lead = f"{guide['name']}: can it distinguish similar from dissimilar patches of patients that it has not seen? "
    return Section("guide", "The guide", lead + str(pairs.get("finding", "")), blocks)


def _pairs_table(guide: Mapping[str, Any], pairs: Mapping[str, Any]) -> Table:
    rows = [
        ("Pair accuracy", estimate_text(pairs.get("accuracy"))),
        ("AUC", estimate_text(pairs.get("auc"))),
        *(
            (f"Similarity, {level.get('about', level.get('level'))}", f"{level['mean']:.3f} ± {level['deviation']:.3f}")
            for level in pairs.get("levels", [])
        ),
    ]
    stages = ", ".join(f"{stage['name']} ({stage['steps']:,} steps)" for stage in guide.get("stages", []))
    return Table(
        caption=f"Pairs of held-out patients: {pairs.get('pairs', 0):,} pairs of {pairs.get('patients', 0):,} patients",
        columns=["Measure", "Value"],
        rows=[cells(*row) for row in rows],
        note=f"Stages of training: {stages}. In square brackets: bootstrap interval over patients. The paper claims "
        "that similarity falls with the level of dissimilarity.",
        textual=True,
    )


def _ablations(guide: Mapping[str, Any], pairs: Mapping[str, Any]) -> list[Table]:
    rows = [
        [Cell(name.replace("_", " "), str(ablation.get("about", ""))), *_pair_cells(ablation.get("pairs") or {})]
        for name, ablation in (guide.get("ablations") or {}).items()
    ]
    if not rows:
        return []
    table = Table(
        caption="The same network trained in other ways",
        columns=["Training", "Pair accuracy", "AUC", "Mean similarity by level"],
        rows=[[Cell("two stages", "the guide itself"), *_pair_cells(pairs)], *rows],
        note="All use the same pairs and the same number of steps, except the untrained network and those trained on a "
        "single data set.",
        stacked=True,
    )
    return [table]


def _pair_cells(pairs: Mapping[str, Any]) -> list[Cell]:
    levels = ", ".join(f"{level['mean']:.3f}" for level in pairs.get("levels", []))
    return cells(estimate_text(pairs.get("accuracy")), estimate_text(pairs.get("auc")), levels or MISSING)


def _cost_text(cost: Mapping[str, Any]) -> str:
    return (
        f"Embedding a batch of {cost.get('batch', 0)} patches takes {cost.get('seconds', 0):.4g} s "
        f"({cost.get('images_per_second', 0):,.0f} patches per second; device: {cost.get('device', '')}, precision: "
        f"{cost.get('precision', '')}), with {cost.get('macs_per_image', 0) / 1e6:,.0f} million multiplications per "
        "patch."
    )
