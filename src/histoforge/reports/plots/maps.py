"""Maps (t-SNE) of real and synthetic patches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from histoforge.evaluation.findings import Projection
from histoforge.evaluation.leaderboard_findings import MethodsMap
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import GREY, INK, colour, draw, marker

ORIGIN_NAMES = {"real": "real", "kept": "kept synthetic", "rejected": "rejected synthetic"}
SELECTION_MAPS = {
    "Before selection": (
        ("real", "kept", "rejected"),
        "Real training patches and the whole candidate pool on one map (t-SNE). Patches that are close to each other "
        "look similar to the extractor. Where classes mix, synthetic patches have features of the wrong class.",
    ),
    "After selection": (
        ("real", "kept"),
        "The same map without the rejected candidates. Selection works if the kept patches lie among the real ones of "
        "their own class. Distances between groups that are far apart have no meaning in such a map.",
    ),
}


Group = tuple[str, NDArray[np.float32], dict[str, Any]]
"""Label, points [N, 2], and style of a group of patches."""


def selection_maps(projection: Projection, classes: Sequence[str]) -> list[Figure]:
    """Plot real patches with the whole pool, and with the kept patches alone (Figs. 10 and 11 of Xue et al. 2021)."""
    figures = []
    for title, (origins, caption) in SELECTION_MAPS.items():
        groups: list[Group] = []
        for label, name in enumerate(classes):
            for origin in origins:
                rows = (projection.labels == label) & (projection.origin == origin)
                legend = f"{name}, {ORIGIN_NAMES[origin]}"
                groups.append((legend, projection.points[rows], _point_style(origin, label)))
        counts = ", ".join(f"{int((projection.origin == o).sum())} {ORIGIN_NAMES[o]}" for o in origins)
        svg = _draw_map(groups, projection.points, title)
        figures.append(Figure(f"{title}: map of {counts}.", f"{title}. {caption} Points: {counts}.", svg=svg))
    return figures


def method_maps(methods_map: MethodsMap) -> list[Figure]:
    """Plot the common map with all methods, and once for each method alone; real patches are grey in each."""
    real, methods = methods_map.real, methods_map.methods
    all_points = np.concatenate([real, *methods.values()])
    groups: list[Group] = [("real", real, {"marker": "o", "color": GREY, "markersize": 2.6, "alpha": 0.6})]
    for index, (name, points) in enumerate(methods.items()):
        groups.append((name, points, {"marker": marker(index), "color": colour(index), "markersize": 3, "alpha": 0.7}))
    maps = {"All methods": groups} if len(methods) > 1 else {}
    maps |= {group[0]: [groups[0], group] for group in groups[1:]}
    figures = []
    for title, shown in maps.items():
        svg = _draw_map(shown, all_points, title)
        count = sum(len(points) for _, points, _ in shown[1:])
        text = f"{title}: {count:,} synthetic patches among {len(real):,} real ones."
        figures.append(Figure(alt=f"Map. {text}", caption=text, svg=svg))
    return figures


def _draw_map(groups: Sequence[Group], all_points: NDArray[np.float32], title: str) -> Markup:
    """Draw groups of patches; the limits follow from `all_points`, so that maps can be compared."""
    low, high = all_points.min(0), all_points.max(0)
    margin = 0.04 * (high - low + 1e-6)
    with draw() as drawing:
        for label, points, style in groups:
            drawing.axes.plot(*points.T, linestyle="none", label=label, **{"markeredgewidth": 0, **style})
        drawing.axes.set(xticks=[], yticks=[], title=title)
        drawing.axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        drawing.axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
        drawing.legend(markerscale=1.5)
    return drawing.svg


def _point_style(origin: str, label: int) -> dict[str, Any]:
    if origin == "rejected":
        return {"marker": "x", "markersize": 3, "color": colour(label), "alpha": 0.55, "markeredgewidth": 0.7}
    style = {"marker": marker(label), "color": colour(label)}
    if origin == "real":
        return {**style, "markersize": 2.6, "alpha": 0.35}
    return {**style, "markersize": 3.6, "markeredgecolor": INK, "markeredgewidth": 0.5}
