"""Figures of a training that generates and classifies."""

import pytest

from histoforge.reports.plots.training import generator_figures
from histoforge.reports.plots.unified_training import unified_figures

EPOCHS = [1.0, 2.0]
SERIES = (
    "wasserstein",
    "penalty",
    "source_real",
    "source_fake",
    "ce_real",
    "ce_synthetic",
    "s_real",
    "s_synthetic",
    "drawn_0",
    "kept_0",
    "passed_0",
    "passed_1",
    "val_accuracy",
    "val_balanced_accuracy",
)
CURVES = {name: (EPOCHS, [0.1, 0.25 + index]) for index, name in enumerate(SERIES)}


def test_every_curve_of_the_training_is_shown():
    figures = unified_figures(CURVES, ["benign", "tumour"], "vitgan")
    text = " ".join(figure.alt for figure in figures)
    shown = [name for name in SERIES if not name.startswith(("drawn", "kept"))]
    assert all(f"{CURVES[name][1][-1]:.3g}" in text for name in shown)
    assert "benign 10.2" in text or "benign 10.3" in text
    assert "tumour" in text
    assert all(figure.caption.startswith("vitgan: ") for figure in figures)


def test_curves_of_other_methods_are_left_to_the_other_figures():
    assert unified_figures({"loss": (EPOCHS, [1, 2])}, ["a"]) == []
    assert [figure.alt for figure in generator_figures({"loss": (EPOCHS, [1.0, 2.0])}, 1)]
    assert generator_figures(CURVES, 1) == []


@pytest.mark.parametrize("classes", [[], ["benign", "tumour"]])
def test_a_history_without_shares_has_the_other_figures(classes):
    curves = {name: curve for name, curve in CURVES.items() if not name.startswith("passed")}
    assert len(unified_figures(curves, classes)) == 5
