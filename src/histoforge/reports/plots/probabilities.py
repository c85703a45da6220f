"""Figures of the predicted probabilities: ROC curves and calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from histoforge.evaluation.study_findings import ArmFindings, StudyFindings
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import FAINT, draw, line_style, marker
from histoforge.reports.text.formatting import UNDEFINED, value_text

MAX_LINES = 6
FALSE_RATES = np.linspace(0, 1, 101)


def roc_figure(study: StudyFindings, classes: Sequence[str]) -> Figure | None:
    """Plot mean ROC curves; None if a test split lacks a class."""
    arms = [arm for arm in leading(study) if any(run.roc for run in arm.runs)]
    if not arms:
        return None
    areas = {arm.name: value_text(arm.scores["auc"].mean, missing=UNDEFINED) for arm in arms}
    with draw("1 - specificity", "Sensitivity", height=3.3) as drawing:
        diagonal(drawing.axes)
        for arm in arms:
            label = f"{arm.title} ({areas[arm.name]})"
            drawing.axes.plot(FALSE_RATES, mean_roc(arm), label=label, **arm_style(study, arm))
        drawing.axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        drawing.legend(title="Arm (AUC)")
    subject = f"class '{classes[1]}'" if len(classes) == 2 else "each class against all others, averaged over classes"
    listed = ", ".join(f"{arm.title} with AUC {areas[arm.name]}" for arm in arms)
    return Figure(
        alt=f"ROC curves of {listed}.",
        caption=f"ROC curves of {subject}, averaged over seeds at each false positive rate, with the AUC in brackets. "
        f"Curves nearer to the upper left corner are better; the dotted diagonal is chance.{_omitted(study, arms)}",
        svg=drawing.svg,
    )


def calibration_figure(study: StudyFindings) -> Figure:
    """Plot the reliability of the leading arms, with the patches of all seeds pooled."""
    arms = leading(study)
    with draw("Confidence (highest probability)", "Share of correct predictions", height=3.3) as drawing:
        diagonal(drawing.axes)
        lowest = 1 - 1e-9
        for arm in arms:
            confidence, accuracy, _ = pooled_reliability(arm)
            lowest = min(lowest, confidence.min())
            error = value_text(arm.scores["calibration_error"].mean, missing=UNDEFINED)
            style = {**arm_style(study, arm), "markersize": 4, "marker": marker(study.arms.index(arm))}
            drawing.axes.plot(confidence, accuracy, label=f"{arm.title} ({error})", **style)
        drawing.axes.set(xlim=(np.floor(lowest * 10) / 10 - 0.01, 1.01), ylim=(-0.02, 1.02))
        drawing.legend(title="Arm (calibration error)")
    return Figure(
        alt=f"Reliability curves of {', '.join(arm.title for arm in arms)}.",
        caption="Accuracy by predicted probability. A calibrated classifier is right on 80% of the patches that it "
        "predicts with a probability of 80% (dotted diagonal); below the diagonal it is overconfident. Patches of all "
        "seeds are pooled; few patches give ragged lines. In brackets: expected calibration error; lower is better."
        f"{_omitted(study, arms)}",
        svg=drawing.svg,
    )


def mean_roc(arm: ArmFindings) -> NDArray[np.float64]:
    """Return the sensitivity at `FALSE_RATES`, averaged over seeds and over the classes that have a curve."""
    curves = [curve for run in arm.runs for curve in run.roc if curve is not None]
    return np.mean(
        [np.interp(FALSE_RATES, curve.false_positive_rate, curve.true_positive_rate) for curve in curves], axis=0
    )


def pooled_reliability(arm: ArmFindings) -> tuple[NDArray[np.float64], ...]:
    """Return the mean confidence, the accuracy, and the number of patches of each bin, over the seeds of an arm."""
    sums: dict[float, NDArray[np.float64]] = {}
    for run in arm.runs:
        for bin_ in run.reliability:
            sums[bin_.low] = sums.get(bin_.low, np.zeros(3)) + bin_.n * np.array([bin_.confidence, bin_.accuracy, 1.0])
    table = np.array([sums[low] for low in sorted(sums)])
    return table[:, 0] / table[:, 2], table[:, 1] / table[:, 2], table[:, 2]


def leading(study: StudyFindings, limit: int = MAX_LINES) -> list[ArmFindings]:
    """Return at most `limit` arms: the reference and the best others, in the study's order."""
    if len(study.arms) <= limit:
        return study.arms
    challengers = [arm for arm in study.arms if arm.name != study.reference]
    best = sorted(challengers, key=lambda arm: arm.scores[study.score].mean or 0.0, reverse=True)[: limit - 1]
    return [arm for arm in study.arms if arm in best or arm.name == study.reference]


def arm_style(study: StudyFindings, arm: ArmFindings) -> dict[str, Any]:
    """Return colour and dashes of an arm's lines, the same in all figures of a page."""
    return line_style(study.arms.index(arm), reference=arm.name == study.reference)


def diagonal(axes: Axes) -> None:
    """Draw the dotted diagonal that marks chance or perfect calibration."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")


def _omitted(study: StudyFindings, shown: Sequence[ArmFindings]) -> str:
    omitted = len(study.arms) - len(shown)
    return f" Only the {len(shown)} leading arms of {len(study.arms)} are shown." if omitted else ""
