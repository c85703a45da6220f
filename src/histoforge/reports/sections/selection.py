"""The section on the selection of synthetic patches."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.findings import Findings, PoolFindings
from histoforge.reports.layout.blocks import Block, Figures, Section, Table, Text, cells
from histoforge.reports.plots.maps import selection_maps
from histoforge.reports.plots.selection import score_figures, score_label
from histoforge.reports.text.formatting import MISSING
from histoforge.reports.text.realism import class_caveats


def selection_section(findings: Findings) -> Section:
    """Show what the selection kept: counts, scores with cut-offs, and maps before and after."""
    pool, projection = findings.pool, findings.projection
    blocks: list[Block] = []
    caveats = class_caveats(findings.realism) if findings.realism is not None and pool is not None else []
    if caveats:
        blocks.append(Text(caveats))
    if pool is not None:
        blocks += [_counts_table(pool, findings.classes), Figures(score_figures(pool, findings.classes))]
    if projection is not None:
        blocks.append(Figures(selection_maps(projection, findings.classes)))
        blocks.append(
            Text([f"The maps use features of {projection.extractor} and real patches of the training split."])
        )
    lead = f"Which candidates were kept, and why? Rule: {pool.rule}." if pool else ""
    return Section("selection", "Selection", lead, blocks)


def _counts_table(pool: PoolFindings, classes: Sequence[str]) -> Table:
    rows = []
    for label, name in enumerate(classes):
        in_class = pool.labels == label
        kept = in_class & pool.kept
        ranges = [_range_text(values[kept]) for values in pool.scores.values()]
        rows.append(cells(name, f"{int(in_class.sum()):,}", f"{int(kept.sum()):,}", *ranges))
    columns = ["Class", "Candidates", "Kept", *(f"{score_label(name)}, kept" for name in pool.scores)]
    return Table("Candidates and kept patches", columns, rows, note="Scores: median (lowest to highest).")


def _range_text(values: NDArray[np.float64]) -> str:
    scores = values[np.isfinite(values)]
    return f"{np.median(scores):.3g} ({scores.min():.3g} to {scores.max():.3g})" if len(scores) else MISSING
