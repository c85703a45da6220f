"""Figures of training by epoch: classifiers, generators, their discriminators, and the guide's reward."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from histoforge.evaluation.leaderboard_findings import LeaderboardEntry
from histoforge.evaluation.study_findings import ArmFindings, StudyFindings
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import FAINT, colour, draw, line_style
from histoforge.reports.plots.probabilities import arm_style, leading
from histoforge.reports.plots.unified_training import is_unified

Curve = tuple[Sequence[float], Sequence[float]]
"""Epochs and values."""
LOG_RANGE = 20
"""Ratio of the highest to the lowest value above which an axis is logarithmic."""
MAX_LINES = 8
BALANCE_SERIES = ("d_real", "d_fake", "discriminator", "generator", "critic", "loss")
REWARD_SERIES = {
    "reward": "the term subtracted from the discriminator's loss. Its forms differ, so compare shapes and not levels. "
    "With 'literal' it is 0.3 times the mean similarity: it rises as the generator improves but has no effect on "
    "training (A0-10).",
    "similarity": "mean over synthetic patches and the real patches that they are paired with, according to the guide, "
    "from 0 to 1.",
    "gradient_share": "norm of the reward's gradient divided by that of the rest of the discriminator's loss, which "
    "measures the reward's influence. 0 with 'literal'.",
}
"""Series of a guided generator's history, with an explanation of each."""
CLASSIFIER_SERIES = {"val_loss": "Validation loss", "val_balanced_accuracy": "Validation balanced accuracy"}


def classifier_figures(study: StudyFindings) -> list[Figure]:
    """Plot validation loss and balanced accuracy of each leading arm by epoch, averaged over seeds."""
    figures = []
    for series, title in CLASSIFIER_SERIES.items():
        curves = {arm.name: curve for arm in leading(study) if (curve := _mean_history(arm, series)) is not None}
        figures += _curves_figure(
            {study.title(name): curve for name, curve in curves.items()},
            title,
            alt=f"{title} by epoch of {len(curves)} arms.",
            caption=f"{title} during the training of the classifiers, averaged over the seeds still in training. Every "
            "arm is trained for the same number of steps; the epoch with the lowest validation loss is kept.",
            styles=[arm_style(study, study.arm(name)) for name in curves],
            columns=3,
        )
    return figures


def generator_figures(curves: Mapping[str, Curve], chosen: int | None, class_name: str = "") -> list[Figure]:
    """Plot the FID, the losses, and the discriminator's outputs of one generator, as far as its history has them."""
    of_class = f" of class {class_name}" if class_name else ""
    losses = {} if is_unified(curves) else _losses(curves)
    figures = [_generator_fid(curves, chosen, of_class)] if "fid" in curves else []
    figures += _curves_figure(
        {name.replace("_", " "): curve for name, curve in losses.items()},
        "Loss",
        alt=f"Losses of the generator's training{of_class}: {', '.join(losses)}.",
        caption=f"Losses by epoch{of_class}. Their level means little; a loss that keeps growing is a warning sign.",
        columns=3,
    )
    real, fake = curves.get("d_real"), curves.get("d_fake")
    if real is not None and fake is not None and len(real[0]) > 1:
        figures += _curves_figure(
            {"real patches": real, "synthetic patches": fake},
            "Mean discriminator output",
            alt=f"Mean output of the discriminator{of_class}, at the end {real[1][-1]:.3g} for real patches and "
            f"{fake[1][-1]:.3g} for synthetic ones.",
            caption=f"Mean output of the discriminator for real and synthetic patches{of_class}: a probability if its "
            "loss is cross entropy, otherwise a score. Curves that meet mean that it cannot distinguish them; curves "
            "that move apart for good mean that the generator has fallen behind.",
        )
    return figures


def _losses(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    return {name: curve for name, curve in curves.items() if not name.startswith(("fid", "d_")) and len(curve[0]) > 1}


def _generator_fid(curves: Mapping[str, Curve], chosen: int | None, of_class: str) -> Figure:
    """Plot raw and smoothed FID by epoch, and the chosen epoch (Fig. 4 of Xue et al. 2021)."""
    raw, smoothed = curves["fid"], curves.get("fid_smoothed")
    with draw("Epoch", "FID") as drawing:
        drawing.axes.plot(*raw, color=FAINT, linewidth=1, marker="o", markersize=2.5, label="as measured")
        if smoothed is not None:
            drawing.axes.plot(*smoothed, color=colour(0), linewidth=2, label="smoothed")
        if chosen is not None:
            drawing.axes.axvline(
                chosen, color=colour(1), linestyle="--", linewidth=1.3, label=f"chosen: epoch {chosen}"
            )
        _log_if_wide(drawing.axes, [*raw[1], *(smoothed or raw)[1]])
        drawing.legend()
    kept = f" Epoch {chosen} was kept." if chosen is not None else ""
    return Figure(
        alt=f"FID of the generator{of_class} by epoch, from {raw[1][0]:.3g} to {raw[1][-1]:.3g}.{kept}",
        caption=f"Fréchet distance between synthetic and real training patches{of_class} during the generator's "
        "training, in the extractor's features; lower is nearer. The smoothed curve (eq. 5 of Xue et al. 2021) "
        "decides which epoch is kept, so that a single lucky epoch does not; pixel statistics may overrule it "
        f"(a warning then says so).{kept}",
        svg=drawing.svg,
    )


def methods_fid_figure(entries: Sequence[LeaderboardEntry]) -> list[Figure]:
    """Plot FID by epoch during training, one line per method (its lowest seed)."""
    curves = {entry.name: _series(entry, "fid") for entry in entries}
    return _curves_figure(
        {name: curve for name, curve in curves.items() if curve is not None},
        "FID during training",
        alt=f"FID by epoch of {', '.join(name for name, curve in curves.items() if curve is not None)}.",
        caption="FID against training patches, by the extractor that chose the epoch, at the lowest seed of each "
        "method. For methods that train one network per class, the mean over the classes.",
        styles=[line_style(index) for index, curve in enumerate(curves.values()) if curve is not None],
        log_if_wide=True,
    )


def variant_figures(variants: Sequence[LeaderboardEntry]) -> list[Figure]:
    """Plot the guide's output and effect by epoch, one line per variant (Figs. 5 and 6 of the RL-EO paper)."""
    figures = []
    for series, caption in REWARD_SERIES.items():
        title = series.replace("_", " ").capitalize()
        curves = {entry.variant: _series(entry, series) for entry in variants}
        figures += _curves_figure(
            {variant.replace("_", " "): curve for variant, curve in curves.items() if curve is not None},
            title,
            alt=f"{title} by epoch of {', '.join(variant for variant, curve in curves.items() if curve is not None)}.",
            caption=f"{title}: {caption}",
            styles=[line_style(index) for index, curve in enumerate(curves.values()) if curve is not None],
        )
    return figures


def balance_figures(variants: Sequence[LeaderboardEntry]) -> list[Figure]:
    """Plot the balance between discriminator and generator, one figure per variant."""
    figures = []
    for entry in variants:
        names = dict.fromkeys(_without_class(name) for name in _lowest_seed(entry))
        balance = [name for name in names if any(series in name for series in BALANCE_SERIES)]
        curves = {name: curve for name in balance if (curve := _series(entry, name)) is not None}
        figures += _curves_figure(
            {name.replace("_", " "): curve for name, curve in list(curves.items())[:MAX_LINES]},
            "Mean of the epoch",
            alt=f"Balance of {entry.name} by epoch: {', '.join(curves)}.",
            caption=f"{entry.name}: discriminator and generator by epoch. The generator learns nothing from a "
            "discriminator that always wins, nor from one that always loses.",
            columns=3,
            title=entry.name,
        )
    return figures


def _curves_figure(
    curves: Mapping[str, Curve],
    y: str,
    *,
    alt: str,
    caption: str,
    styles: Sequence[Mapping[str, Any]] | None = None,
    columns: int = 2,
    title: str = "",
    log_if_wide: bool = False,
) -> list[Figure]:
    """Plot curves by epoch with a legend of their names; return an empty list if there are none."""
    if not curves:
        return []
    with draw("Epoch", y) as drawing:
        for index, (name, (epochs, values)) in enumerate(curves.items()):
            style = styles[index] if styles else line_style(index)
            drawing.axes.plot(epochs, values, marker="o" if len(epochs) == 1 else "", label=name, **style)
        if log_if_wide:
            _log_if_wide(drawing.axes, [value for _, values in curves.values() for value in values])
        drawing.axes.set_title(title)
        drawing.legend(columns)
    return [Figure(alt, caption, svg=drawing.svg)]


def _log_if_wide(axes: Axes, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    if positive and max(positive) > LOG_RANGE * min(positive):
        axes.set_yscale("log")


def _mean_history(arm: ArmFindings, series: str) -> Curve | None:
    """Return a series of the classifiers' history, averaged at each epoch over the seeds still in training."""
    runs = [[epoch[series] for epoch in run] for run in arm.histories if run and series in run[0]]
    if not runs:
        return None
    epochs = max(len(run) for run in runs)
    table = np.array([run + [np.nan] * (epochs - len(run)) for run in runs])
    return list(range(1, epochs + 1)), np.nanmean(table, axis=0).tolist()


def _lowest_seed(entry: LeaderboardEntry) -> Mapping[str, Curve]:
    return entry.curves.get(min(entry.curves), {}) if entry.curves else {}


def _without_class(name: str) -> str:
    """Strip the class from a series' name: 'tumour: fid' becomes 'fid'."""
    return name.rpartition(": ")[2]


def _series(entry: LeaderboardEntry, name: str) -> Curve | None:
    """Return a series of the lowest seed; if there is one per class, their mean at the epochs that all of them have."""
    curves = [
        dict(zip(*curve, strict=True)) for key, curve in _lowest_seed(entry).items() if _without_class(key) == name
    ]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return (epochs, [float(np.mean([curve[epoch] for curve in curves])) for epoch in epochs]) if epochs else None
