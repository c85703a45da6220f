"""Figures of the guide: its ROC curve and the similarity that it gives to pairs."""

from collections.abc import Mapping
from typing import Any

from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import colour, draw
from histoforge.reports.plots.probabilities import diagonal
from histoforge.reports.text.formatting import estimate_text


def guide_figures(pairs: Mapping[str, Any]) -> list[Figure]:
    """Plot what `pairs` of `guide.json` contains: a ROC curve and the mean similarity by level."""
    curve, levels = pairs.get("roc") or {}, pairs.get("levels") or []
    figures = []
    if curve.get("false_positive_rate") and curve.get("true_positive_rate"):
        with draw("False positive rate (dissimilar pairs)", "True positive rate (similar pairs)") as drawing:
            diagonal(drawing.axes)
            drawing.axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=colour(0))
        area = estimate_text(pairs.get("auc"))
        figures.append(
            Figure(f"ROC curve of the guide's pairs, AUC {area}.", f"ROC curve of pairs; AUC {area}.", svg=drawing.svg)
        )
    if len(levels) > 1:
        means, stds = [level["mean"] for level in levels], [level["deviation"] for level in levels]
        with draw("", "Similarity", height=2.6) as drawing:
            drawing.axes.errorbar(range(len(levels)), means, stds, fmt="o-", color=colour(0), capsize=3)
            drawing.axes.set_xticks(range(len(levels)), [f"level {level['level']}" for level in levels])
            drawing.axes.set_xlim(-0.5, len(levels) - 0.5)
        text = ", ".join(f"level {level['level']} ({level.get('about', '')}) {level['mean']:.3f}" for level in levels)
        caption = f"Similarity by level of dissimilarity: {text}."
        figures.append(Figure(f"Similarity by level: {text}.", caption, svg=drawing.svg))
    return figures
