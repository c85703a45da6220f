"""Figures of the training of networks that generate and classify, by epoch (Li et al., Fig. 3 and section III)."""

from collections.abc import Mapping, Sequence

from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import draw, line_style

Curve = tuple[Sequence[float], Sequence[float]]
"""Epochs and values."""
GROUPS: tuple[tuple[str, Mapping[str, str], str], ...] = (
    (
        "Cross entropy",
        {"ce_real": "real patches (L1)", "ce_synthetic": "selected synthetic patches (L2)"},
        "Class losses of the class head. L2 is that of the synthetic patches that passed the filter only.",
    ),
    (
        "Learned weight s",
        {"s_real": "s1, real patches", "s_synthetic": "s2, synthetic patches"},
        "Learned weights of the class losses, within -4 and 4; a lower s gives its loss more weight (eq. 7).",
    ),
    (
        "Mean source score",
        {"source_real": "real patches", "source_fake": "synthetic patches"},
        "Source head. Scores that move apart for good mean that the generator has fallen behind (Fig. 3 of the paper "
        "shows the synthetic ones).",
    ),
    (
        "Wasserstein estimate and penalty",
        {"wasserstein": "estimate of the distance", "penalty": "gradient penalty, unweighted"},
        "The critic's estimate of the distance between real and synthetic patches, and the gradient penalty.",
    ),
    (
        "Accuracy on validation patches",
        {"val_accuracy": "accuracy", "val_balanced_accuracy": "mean over the classes"},
        "Class head on the validation split. Epochs near the best accuracy are compared by FID, and one is kept.",
    ),
)


def is_unified(curves: Mapping[str, Curve]) -> bool:
    """Return whether a history is that of a method that also trains a classifier."""
    return "ce_synthetic" in curves


def unified_figures(curves: Mapping[str, Curve], classes: Sequence[str], title: str = "") -> list[Figure]:
    """Plot what only such a training has, with the share of each class that passed the filter.

    Args:
        curves: the series of one generator's history.
        classes: names of the classes in the order of their labels.
        title: text in front of each caption, such as the method's name.
    """
    if not is_unified(curves):
        return []
    passed = (
        "Share that passed the filter",
        {f"passed_{label}": name for label, name in enumerate(classes)},
        "Share of the synthetic patches of each class of which the class head was sure (selection inside training).",
    )
    figures = []
    for y, series, caption in (passed, *GROUPS):
        shown = {text: curves[name] for name, text in series.items() if name in curves}
        figures += _figure(shown, y, caption, title)
    return figures


def _figure(curves: Mapping[str, Curve], y: str, caption: str, title: str) -> list[Figure]:
    if not curves:
        return []
    with draw("Epoch", y) as drawing:
        for index, (name, (epochs, values)) in enumerate(curves.items()):
            drawing.axes.plot(epochs, values, marker="o" if len(epochs) == 1 else "", label=name, **line_style(index))
        drawing.legend(2)
    ends = ", ".join(f"{name} {values[-1]:.3g}" for name, (_, values) in curves.items())
    return [Figure(f"{y} by epoch, at the end: {ends}.", f"{title}: {caption}" if title else caption, svg=drawing.svg)]
