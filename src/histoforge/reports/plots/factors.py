"""Figures of the score by what was varied between arms: the two studies of Xue et al. 2021."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from histoforge.evaluation.study_findings import SCORE_NAMES, ArmFindings, StudyFindings
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import FAINT, INK, draw, line_style, marker
from histoforge.reports.text.formatting import constant_caption


def ratio_figure(study: StudyFindings) -> Figure | None:
    """Plot Fig. 12 of the paper: score by augmentation ratio, one line per pool size; None if arms do not vary so."""
    arms = [arm for arm in study.arms if {"ratio", "pool"} <= arm.factors.keys()]
    pools = sorted({float(arm.factors["pool"]) for arm in arms})
    return _factor_figure(
        study,
        "ratio",
        "Augmentation ratio r",
        {f"pool {pool:g} N": [arm for arm in arms if float(arm.factors["pool"]) == pool] for pool in pools},
        "Score by the number of synthetic patches kept per real one (r) and by the number of candidates, as a multiple "
        "of the N real training patches (Fig. 12 of Xue et al. 2021).",
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
        "Arms trained with a fraction of the real training patches (Table 2 of Xue et al. 2021).",
    )


def _factor_figure(
    study: StudyFindings, factor: str, label: str, lines: Mapping[str, Sequence[ArmFindings]], caption: str
) -> Figure | None:
    """Plot mean and deviation of the score by a factor; None unless at least one line has two points."""
    levels = sorted({float(arm.factors[factor]) for arms in lines.values() for arm in arms})
    if not any(len({arm.factors[factor] for arm in arms}) > 1 for arms in lines.values()):
        return None
    step = 0.06 * min(after - before for before, after in pairwise(levels))
    with draw(label, SCORE_NAMES[study.score], height=3.1) as drawing:
        for index, (name, arms) in enumerate(lines.items()):
            ordered = sorted(arms, key=lambda arm: float(arm.factors[factor]))
            scores = [arm.scores[study.score] for arm in ordered]
            x = np.array([float(arm.factors[factor]) for arm in ordered]) + (index - (len(lines) - 1) / 2) * step
            y = np.array([np.nan if score.mean is None else score.mean for score in scores])
            stds = [score.deviation or 0.0 for score in scores]
            style = {**line_style(index), "marker": marker(index), "markersize": 4.5, "capsize": 2}
            drawing.axes.errorbar(x, y, stds, label=name, **style)
        reference = study.arm(study.reference)
        mean = reference.scores[study.score].mean
        if mean is not None and factor not in reference.factors:
            drawing.axes.axhline(mean, color=INK, linewidth=1, linestyle=":", label=reference.title)
        constant = study.constant.scores.get(study.score) if study.constant else None
        if constant is not None:
            drawing.axes.axhline(constant, color=FAINT, linewidth=1, linestyle=":")
        drawing.legend()
    return Figure(
        alt=f"{SCORE_NAMES[study.score]} by {label.lower()} for {', '.join(lines)}.",
        caption=f"{constant_caption(study)}{caption} Points: mean over seeds; bars: standard deviation over seeds.",
        svg=drawing.svg,
    )
