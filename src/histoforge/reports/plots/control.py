"""The figure of the positive control: the score by the number of added real patches."""

import numpy as np

from histoforge.evaluation.study_findings import SCORE_NAMES, StudyFindings
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import INK, colour, draw, line_style
from histoforge.reports.text.formatting import score_name, value_text


def control_figure(study: StudyFindings) -> Figure | None:
    """Plot the score by the number of added real patches, with a level line per arm with synthetic patches.

    None without a positive control, or if the score of one of its arms is undefined.
    """
    if study.control is None:
        return None
    arms = [study.arm(name) for name in (study.reference, *study.control.added)]
    means = [arm.scores[study.score].mean for arm in arms]
    if any(mean is None for mean in means):
        return None
    priced = [(study.arm(name), study.arm(name).scores[study.score].mean) for name in study.control.prices]
    with draw("Added real patches", SCORE_NAMES[study.score], height=3.1) as drawing:
        numbers = [arm.control for arm in arms]
        deviations = [arm.scores[study.score].deviation or 0.0 for arm in arms]
        drawing.axes.errorbar(
            numbers,
            np.array(means, float),
            deviations,
            color=INK,
            marker="o",
            markersize=5,
            capsize=2,
            label="real patches",
        )
        for index, (arm, mean) in enumerate(priced):
            if mean is not None:
                style = {**line_style(index + 1), "color": colour([each.name for each in study.arms].index(arm.name))}
                drawing.axes.axhline(mean, label=f"{arm.title} ({arm.synthetic:,} synthetic)", **style)
        drawing.legend()
    values = ", ".join(f"{number} patches {value_text(mean)}" for number, mean in zip(numbers, means, strict=True))
    return Figure(
        alt=f"{SCORE_NAMES[study.score]} by added real patches: {values}.",
        caption=f"Mean {score_name(study.score)} by the number of held-back real patches added to the training "
        "patches; bars: standard deviation over seeds. Level lines: arms with synthetic patches. "
        "Where one meets the curve is the price.",
        svg=drawing.svg,
    )
