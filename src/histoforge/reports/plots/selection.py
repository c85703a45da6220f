"""Figures of the scores that a selection is based on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.findings import PoolFindings
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import GREY, INK, colour, draw

SCORE_LABELS = {
    "entropy": ("Entropy of the prediction (nats)", "the extractor's uncertainty about a patch; lower is more certain"),
    "distance": ("Distance to the class centroid", "distance from the mean of the real patches of the same class"),
    "confidence": ("Probability of the assigned class", "the extractor's certainty about the class of the patch"),
}


def score_label(name: str) -> str:
    """Return the display name of a selection score."""
    return SCORE_LABELS.get(name, (name.replace("_", " ").capitalize(), ""))[0]


def score_figures(pool: PoolFindings, classes: Sequence[str]) -> list[Figure]:
    """Plot the distribution of each selection score by class, kept and rejected candidates apart, with the cut-offs."""
    scores = {name: values for name, values in pool.scores.items() if np.isfinite(values).any()}
    return [_score_figure(pool, classes, name, values) for name, values in scores.items()]


def _score_figure(pool: PoolFindings, classes: Sequence[str], name: str, values: NDArray[np.float64]) -> Figure:
    label = score_label(name)
    is_scored = np.isfinite(values)
    edges = np.histogram_bin_edges(values[is_scored], bins=40).tolist()
    cuts = []
    with draw(label, height=0.75 + 1.05 * len(classes), rows=len(classes)) as drawing:
        for index, (axes, class_name) in enumerate(zip(drawing.rows, classes, strict=True)):
            in_class = is_scored & (pool.labels == index)
            groups = [values[in_class & pool.kept], values[in_class & ~pool.kept]]
            labels, colours = ["kept", "rejected"], [colour(0), GREY]
            axes.hist(groups, edges, stacked=True, histtype="stepfilled", color=colours, label=labels)
            axes.set_ylabel(class_name)
            axes.locator_params(axis="y", nbins=3)
            if name in pool.decisive and len(groups[0]):
                cut = float(groups[0].min() if name == "confidence" else groups[0].max())
                axes.axvline(cut, color=INK, linestyle="--", linewidth=1.1, label="last one kept")
                cuts.append(f"{class_name} {cut:.3g}")
        drawing.legend(columns=3)
    if cuts:
        note = f" Dashed line: the last candidate kept ({', '.join(cuts)})."
        if len(pool.decisive) > 1:
            note += " Rejected candidates on the kept side of the line were rejected by the rule's other score."
    else:
        note = " The selection did not use this score."
    meaning = SCORE_LABELS[name][1] if name in SCORE_LABELS else "a score of the selection"
    return Figure(
        alt=f"Histogram of {label.lower()} of {int(is_scored.sum())} candidates by class.{note}",
        caption=f"{label}: {meaning}. Candidates by class; blue: kept, grey: rejected.{note}",
        svg=drawing.svg,
    )
