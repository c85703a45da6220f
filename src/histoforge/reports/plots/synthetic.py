"""Drawings of the generator and of the selection."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.findings import PoolFindings, Projection
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import FAINT, INK, colour, draw, marker

REJECTED = "#b4bdc6"
ORIGIN_NAMES = {"real": "real", "kept": "synthetic, kept", "rejected": "synthetic, rejected"}
SCORE_LABELS = {
    "entropy": ("Entropy of the prediction (nats)", "how unsure the extractor is of a patch: lower is surer"),
    "distance": (
        "Distance to the class centroid",
        "how far a patch lies from the centre of the real patches of its class",
    ),
    "confidence": ("Probability of the assigned class", "how sure the extractor is of the patch's own class"),
}


def fid_figure(
    curves: Mapping[str, tuple[list[float], list[float]]], chosen: int | None, class_name: str = ""
) -> Figure | None:
    """Plot raw and smoothed FID by epoch, and the chosen epoch (Fig. 4 of the paper)."""
    raw, smoothed = curves.get("fid"), curves.get("fid_smoothed")
    if raw is None:
        return None
    with draw("Epoch", "FID") as drawing:
        axes = drawing.axes
        axes.plot(*raw, color=FAINT, linewidth=1, marker="o", markersize=2.5, label="as measured")
        if smoothed is not None:
            axes.plot(*smoothed, color=colour(0), linewidth=2, label="smoothed")
        if chosen is not None:
            axes.axvline(chosen, color=colour(1), linestyle="--", linewidth=1.3, label=f"chosen: epoch {chosen}")
        positive = [v for _, values in (raw, smoothed or raw) for v in values if v > 0]
        if positive and max(positive) > 20 * min(positive):
            axes.set_yscale("log")
        drawing.legend()
    which = f" Epoch {chosen} was kept." if chosen is not None else ""
    return Figure(
        alt=f"FID of the generator{_of(class_name)} by epoch, from {raw[1][0]:.3g} to {raw[1][-1]:.3g}.{which}",
        caption=f"Frechet distance between generated and real training patches{_of(class_name)} in the extractor's "
        "features while the generator was trained; lower is nearer. The smoothed curve (eq. 5 of Xue et al. 2021) "
        f"decides which epoch is kept, so that no single lucky epoch does.{which}",
        svg=drawing.svg,
    )


def losses_figure(curves: Mapping[str, tuple[list[float], list[float]]], class_name: str = "") -> Figure | None:
    """Plot the losses of the generator and the critic."""
    losses = {name: curve for name, curve in curves.items() if not name.startswith(("fid", "d_")) and len(curve[0]) > 1}
    if not losses:
        return None
    with draw("Epoch", "Loss") as drawing:
        for place, (name, (x, y)) in enumerate(losses.items()):
            drawing.axes.plot(x, y, color=colour(place), label=name.replace("_", " "), linewidth=1.3)
        drawing.legend(columns=3)
    return Figure(
        alt=f"Losses of the generator's training{_of(class_name)}: {', '.join(losses)}.",
        caption=f"Losses by epoch{_of(class_name)}. Their level says little; what matters is that none runs away.",
        svg=drawing.svg,
    )


def balance_figure(curves: Mapping[str, tuple[list[float], list[float]]], class_name: str = "") -> Figure | None:
    """Plot the discriminator's verdict on real and on fake patches, by epoch."""
    real, fake = curves.get("d_real"), curves.get("d_fake")
    if real is None or fake is None or len(real[0]) < 2:
        return None
    with draw("Epoch", "Discriminator's mean verdict") as drawing:
        for place, (label, curve) in enumerate({"real patches": real, "fakes": fake}.items()):
            drawing.axes.plot(*curve, color=colour(place), label=label, linewidth=1.6)
        drawing.legend()
    return Figure(
        alt=f"Mean verdict of the discriminator{_of(class_name)}, at the end {real[1][-1]:.3g} of real patches and "
        f"{fake[1][-1]:.3g} of fakes.",
        caption=f"What the discriminator says of real patches and of fakes{_of(class_name)}: a probability where its "
        "loss is cross entropy, else a score. Curves that meet mean that it cannot tell them apart, curves that part "
        "for good that the generator has lost.",
        svg=drawing.svg,
    )


def _of(class_name: str) -> str:
    return f" of class {class_name}" if class_name else ""


def projection_figures(projection: Projection, classes: Sequence[str]) -> list[Figure]:
    """Plot t-SNE of real patches with the whole pool, and with the kept ones alone (Figs. 10 and 11 of the paper)."""
    captions = {
        ("real", "kept", "rejected"): (
            "Before selection",
            "Real training patches and the whole candidate pool on one map (t-SNE). Near points look alike to the "
            "extractor. Where classes mix, synthetic patches carry features of the wrong class.",
        ),
        ("real", "kept"): (
            "After selection",
            "The same map without the rejected candidates. Selection helps where the kept patches lie among the real "
            "ones of their own class. Distances between far groups mean nothing in such a map.",
        ),
    }
    figures = []
    for origins, (title, caption) in captions.items():
        with draw(height=3.2 + 0.19 * len(origins) * -(-len(classes) // 2)) as drawing:
            axes = drawing.axes
            for label, name in enumerate(classes):
                for origin in origins:
                    own = (projection.labels == label) & (projection.origin == origin)
                    look = _look(origin, label)
                    axes.plot(
                        *projection.points[own].T, linestyle="none", label=f"{name}, {ORIGIN_NAMES[origin]}", **look
                    )
            axes.set(xticks=[], yticks=[], title=title)
            low, high = projection.points.min(0), projection.points.max(0)
            margin = 0.04 * (high - low + 1e-6)
            axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
            drawing.legend(markerscale=1.4)
        counts = ", ".join(f"{int((projection.origin == o).sum())} {ORIGIN_NAMES[o]}" for o in origins)
        figures.append(Figure(f"{title}: map of {counts}.", f"{title}. {caption} Points: {counts}.", svg=drawing.svg))
    return figures


def score_figures(pool: PoolFindings, classes: Sequence[str]) -> list[Figure]:
    """Plot the distribution of each selection score by class, kept and rejected candidates apart, with the cut-offs."""
    shown = {name: values for name, values in pool.scores.items() if np.isfinite(values).any()}
    return [_score_figure(pool, classes, name, values) for name, values in shown.items()]


def _score_figure(pool: PoolFindings, classes: Sequence[str], name: str, values: NDArray[np.float64]) -> Figure:
    label, meaning = SCORE_LABELS.get(name, (name.replace("_", " ").capitalize(), "a score of the selection"))
    known = np.isfinite(values)
    edges = np.histogram_bin_edges(values[known], bins=40).tolist()
    told = []
    with draw(label, height=1.0 + 1.05 * len(classes), rows=len(classes)) as drawing:
        for place, (axes, class_name) in enumerate(zip(drawing.rows, classes, strict=True)):
            own = known & (pool.labels == place)
            groups = [values[own & pool.kept], values[own & ~pool.kept]]
            look: Any = {"histtype": "stepfilled", "color": [colour(0), REJECTED], "label": ["kept", "rejected"]}
            axes.hist(groups, edges, stacked=True, **look)
            axes.set_ylabel(class_name)
            axes.locator_params(axis="y", nbins=3)
            if name in pool.decisive and len(groups[0]):
                cut = float(groups[0].min() if name == "confidence" else groups[0].max())
                axes.axvline(cut, color=INK, linestyle="--", linewidth=1.1, label="last one kept")
                told.append(f"{class_name} {cut:.3g}")
        drawing.legend(columns=3)
    cuts = f" Dashed line: the last candidate kept ({', '.join(told)})." if told else " It did not decide here."
    also = (
        " Grey ones on the kept side of the line fell to the rule's other score."
        if len(pool.decisive) > 1 and told
        else ""
    )
    return Figure(
        alt=f"Histogram of {label.lower()} of {int(known.sum())} candidates by class.{cuts}",
        caption=f"{label}: {meaning}. Candidates by class; blue: kept, grey: rejected.{cuts}{also}",
        svg=drawing.svg,
    )


def _look(origin: str, label: int) -> dict[str, Any]:
    if origin == "real":
        return {"marker": marker(label), "markersize": 2.6, "color": colour(label), "alpha": 0.35, "markeredgewidth": 0}
    if origin == "kept":
        return {
            "marker": marker(label), "markersize": 3.6, "markerfacecolor": colour(label), "markeredgecolor": INK,
            "markeredgewidth": 0.5,
        }  # fmt: skip
    return {"marker": "x", "markersize": 3, "color": colour(label), "alpha": 0.55, "markeredgewidth": 0.7}
