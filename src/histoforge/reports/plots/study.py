"""Drawings of a study: arms, differences, ROC, calibration, training, and the two studies of the paper."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from histoforge.evaluation.findings import SCORE_NAMES, ArmFindings, StudyFindings
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import FAINT, INK, colour, dash, draw, marker

MOST_LINES = 6
ROW_INCHES = 0.34
FALSE_RATES = np.linspace(0, 1, 101)


def scores_figure(study: StudyFindings) -> Figure:
    """Plot each arm's score: one dot per seed, the mean, and its interval over patients."""
    score = study.score
    with draw(x=SCORE_NAMES[score], height=_rows_height(len(study.arms))) as drawing:
        axes = drawing.axes
        for row, arm in enumerate(study.arms):
            found = arm.scores[score]
            shade = INK if arm.name == study.reference else colour(row)
            seeds = [value for value in found.seeds if value is not None]
            axes.plot(seeds, np.full(len(seeds), row), "o", markersize=3.5, color=shade, alpha=0.45, markeredgewidth=0)
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [row, row], color=shade, linewidth=1.4)
            if found.mean is not None:
                axes.plot(found.mean, row, "D", markersize=5.5, color=shade)
        _name_rows(axes, study.arms)
        axes.grid(visible=False, axis="y")
    told = "; ".join(f"{a.title} {_three(a.scores[score].mean)}" for a in study.arms)
    return Figure(
        alt=f"{SCORE_NAMES[score]} of each arm: {told}.",
        caption=f"{SCORE_NAMES[score]} on the test split. Diamond: mean over seeds. Small dots: single seeds. Line: "
        f"{study.confidence:.0%} interval of the mean over test {study.units}. Lines that overlap do not show that "
        "arms are equal: read the differences.",
        svg=drawing.svg,
    )


def differences_figure(study: StudyFindings) -> Figure | None:
    """Plot each arm's difference from its reference with both intervals; None without a comparison."""
    found = [study.difference(arm.name, study.score) for arm in study.challengers]
    shown = [one for one in found if one is not None and one.over_patients.difference is not None]
    if not shown:
        return None
    arms = [study.arm(one.arm) for one in shown]
    with draw(
        x=f"{SCORE_NAMES[study.score]} minus that of {reference_words(study)}", height=_rows_height(len(arms))
    ) as drawing:
        axes = drawing.axes
        axes.axvline(0, color=INK, linewidth=1)
        for row, one in enumerate(shown):
            shade = colour(study.arms.index(arms[row]))
            effects = [(one.over_patients, -0.1, "-"), (one.over_seeds, 0.14, ":")]
            for effect, shift, line in effects:
                if effect is not None and effect.low is not None and effect.high is not None:
                    axes.plot([effect.low, effect.high], [row + shift] * 2, line, color=shade, linewidth=1.7)
            axes.plot(one.over_patients.difference or 0.0, row - 0.1, "D", markersize=5.5, color=shade)
        _name_rows(axes, arms)
        axes.grid(visible=False, axis="y")
    told = "; ".join(f"{study.title(one.arm)} {one.over_patients.difference:+.3f}" for one in shown)
    return Figure(
        alt=f"Differences from {reference_words(study)}: {told}.",
        caption=f"Difference from {reference_words(study)}; right of zero is better. Solid: {study.confidence:.0%} "
        f"interval over test {study.units}. Dotted: interval of the paired t-test over seeds, where there are two or "
        "more. An arm helps where both lie right of zero.",
        svg=drawing.svg,
    )


def roc_figure(study: StudyFindings, classes: Sequence[str]) -> Figure | None:
    """Plot mean ROC curves; None if a test split lacks a class."""
    arms = [arm for arm in leading(study) if any(run.roc for run in arm.runs)]
    if not arms:
        return None
    with draw("1 - specificity", "Sensitivity", height=4.1) as drawing:
        axes = drawing.axes
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")
        for arm in arms:
            style = _style(study, arm)
            axes.plot(FALSE_RATES, mean_roc(arm), label=f"{arm.title} ({_three(arm.scores['auc'].mean)})", **style)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        drawing.legend(title="Arm (AUC)")
    what = f"class '{classes[1]}'" if len(classes) == 2 else "each class against all others, mean over the classes"
    return Figure(
        alt="ROC curves of " + ", ".join(f"{a.title} with AUC {_three(a.scores['auc'].mean)}" for a in arms) + ".",
        caption=f"ROC curves of {what}, mean over seeds at each false positive rate. The nearer to the upper left "
        f"corner, the better; the dotted diagonal is chance. AUC in brackets.{_left_out(study, arms)}",
        svg=drawing.svg,
    )


def mean_roc(arm: ArmFindings) -> NDArray[np.float64]:
    """Return the sensitivity at `FALSE_RATES`, averaged over seeds and over the classes that have a curve."""
    curves = [curve for run in arm.runs for curve in run.roc if curve is not None]
    return np.mean(
        [np.interp(FALSE_RATES, curve.false_positive_rate, curve.true_positive_rate) for curve in curves], axis=0
    )


def calibration_figure(study: StudyFindings) -> Figure | None:
    """Plot the reliability of the leading arms, with the patches of all seeds pooled."""
    arms = leading(study)
    with draw("Confidence (highest probability)", "Share that is right", height=4.1) as drawing:
        axes = drawing.axes
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")
        lowest = 1 - 1e-9
        for arm in arms:
            confidence, right, _ = pooled_reliability(arm)
            lowest = min(lowest, confidence.min())
            style = {**_style(study, arm), "markersize": 4}
            label = f"{arm.title} ({_three(arm.scores['calibration_error'].mean)})"
            axes.plot(confidence, right, label=label, marker=marker(study.arms.index(arm)), **style)
        axes.set(xlim=(np.floor(lowest * 10) / 10 - 0.01, 1.01), ylim=(-0.02, 1.02))
        drawing.legend(title="Arm (calibration error)")
    return Figure(
        alt="Reliability curves of " + ", ".join(arm.title for arm in arms) + ".",
        caption="How far a probability can be believed: of the patches that a classifier is 80% sure of, 80% should "
        "be right (dotted diagonal); below it the classifier is too sure of itself. All seeds pooled; few patches "
        f"make ragged lines. Expected calibration error in brackets, lower is better.{_left_out(study, arms)}",
        svg=drawing.svg,
    )


def pooled_reliability(arm: ArmFindings) -> tuple[NDArray[np.float64], ...]:
    """Return the mean confidence, the share of correct patches and their number per bin, over the seeds of an arm."""
    sums: dict[float, NDArray[np.float64]] = {}
    for run in arm.runs:
        for part in run.reliability:
            sums[part.low] = sums.get(part.low, np.zeros(3)) + part.n * np.array([part.confidence, part.accuracy, 1.0])
    table = np.array([sums[low] for low in sorted(sums)])
    return table[:, 0] / table[:, 2], table[:, 1] / table[:, 2], table[:, 2]


def histories_figures(study: StudyFindings) -> list[Figure]:
    """Plot validation loss and balanced accuracy of each leading arm by epoch, averaged over seeds."""
    arms = [arm for arm in leading(study) if any(arm.histories)]
    names = {"val_loss": "Validation loss", "val_balanced_accuracy": "Validation balanced accuracy"}
    figures = []
    for key, title in names.items():
        series = [
            (arm, [np.array([e[key] for e in run]) for run in arm.histories if run and key in run[0]]) for arm in arms
        ]
        series = [(arm, runs) for arm, runs in series if runs]
        if not series:
            continue
        with draw("Epoch", title) as drawing:
            for arm, runs in series:
                longest = max(len(run) for run in runs)
                table = np.full((len(runs), longest), np.nan)
                for row, run in zip(table, runs, strict=True):
                    row[: len(run)] = run
                line = np.nanmean(table, axis=0)
                drawing.axes.plot(np.arange(1, longest + 1), line, label=arm.title, **_style(study, arm))
            drawing.legend(columns=3)
        caption = (
            f"{title} while the classifiers were trained, mean over the seeds still in training. Every arm gets the "
            "same number of steps; the epoch with the lowest validation loss is kept."
        )
        figures.append(Figure(f"{title} by epoch of {len(series)} arms.", caption, svg=drawing.svg))
    return figures


def ratio_figure(study: StudyFindings) -> Figure | None:
    """Plot Fig. 12 of the paper: score by augmentation ratio, one line per pool size; None if arms do not vary so."""
    arms = [arm for arm in study.arms if {"ratio", "pool"} <= arm.factors.keys()]
    pools = sorted({float(arm.factors["pool"]) for arm in arms})
    lines = {pool: [arm for arm in arms if float(arm.factors["pool"]) == pool] for pool in pools}
    return _factor_figure(
        study,
        "ratio",
        "Augmentation ratio r",
        {f"pool {pool:g} N": line for pool, line in lines.items()},
        "Synthetic patches kept for each real one (r), and candidates they were kept from, in multiples of the N real "
        "training patches (Fig. 12 of Xue et al. 2021).",
    )


def fraction_figure(study: StudyFindings) -> Figure | None:
    """Plot Table 2 of the paper as lines: score by training fraction, one line per kind of arm."""
    arms = [arm for arm in study.arms if "fraction" in arm.factors]
    kinds = list(dict.fromkeys(arm.kind for arm in arms))
    return _factor_figure(
        study,
        "fraction",
        "Fraction of the training patches",
        {kind.replace("_", " "): [arm for arm in arms if arm.kind == kind] for kind in kinds},
        "Arms trained with a part of the real training patches (Table 2 of Xue et al. 2021).",
    )


def leading(study: StudyFindings, most: int = MOST_LINES) -> list[ArmFindings]:
    """Return as many arms as a line chart can hold: the reference and the best others, in the study's order."""
    if len(study.arms) <= most:
        return study.arms
    others = [arm for arm in study.arms if arm.name != study.reference]
    best = sorted(others, key=lambda arm: arm.scores[study.score].mean or 0.0, reverse=True)[: most - 1]
    return [arm for arm in study.arms if arm in best or arm.name == study.reference]


def _factor_figure(
    study: StudyFindings, factor: str, label: str, lines: dict[str, list[ArmFindings]], what: str
) -> Figure | None:
    """Plot mean and deviation of the score by a factor; None unless at least one line has two points."""
    if not any(len({arm.factors[factor] for arm in arms}) > 1 for arms in lines.values()):
        return None
    with draw(label, SCORE_NAMES[study.score], height=3.5) as drawing:
        axes = drawing.axes
        count = len(lines)
        span = [float(arm.factors[factor]) for arms in lines.values() for arm in arms]
        gaps = [b - a for a, b in pairwise(sorted(set(span)))]
        for place, (name, arms) in enumerate(lines.items()):
            ordered = sorted(arms, key=lambda arm: float(arm.factors[factor]))
            shift = (place - (count - 1) / 2) * min(gaps) * 0.06
            x = np.array([float(arm.factors[factor]) for arm in ordered]) + shift
            y = np.array([np.nan if (m := arm.scores[study.score].mean) is None else m for arm in ordered])
            spread = [arm.scores[study.score].deviation or 0.0 for arm in ordered]
            axes.errorbar(
                x, y, spread, label=name, color=colour(place), linestyle=dash(place), marker=marker(place),
                markersize=4.5, capsize=2,
            )  # fmt: skip
        reference = study.arm(study.reference)
        mean = reference.scores[study.score].mean
        if mean is not None and factor not in reference.factors:
            axes.axhline(mean, color=INK, linewidth=1, linestyle=":", label=reference.title)
        drawing.legend()
    return Figure(
        alt=f"{SCORE_NAMES[study.score]} by {label.lower()} for {', '.join(lines)}.",
        caption=f"{what} Points: mean over seeds; bars: standard deviation over seeds.",
        svg=drawing.svg,
    )


def _style(study: StudyFindings, arm: ArmFindings) -> dict[str, Any]:
    place = study.arms.index(arm)
    return {"color": INK if arm.name == study.reference else colour(place), "linestyle": dash(place)}


def reference_words(study: StudyFindings) -> str:
    """Return in words what arms are compared with: a single arm, or a separate one for each."""
    names = {study.reference_of(arm) for arm in study.challengers}
    return study.title(names.pop()) if len(names) == 1 else "the reference"


def _rows_height(rows: int) -> float:
    return 0.75 + ROW_INCHES * max(rows, 2)


def _name_rows(axes: Axes, arms: Sequence[ArmFindings]) -> None:
    axes.set_yticks(range(len(arms)), [arm.title for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _left_out(study: StudyFindings, shown: Sequence[ArmFindings]) -> str:
    rest = len(study.arms) - len(shown)
    return f" The {len(shown)} leading arms of {len(study.arms)}." if rest else ""


def _three(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
