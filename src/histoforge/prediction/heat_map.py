"""A slide and, beside it, the probability of each class as a heat map."""

import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from histoforge.prediction.slide_prediction import SlidePrediction

MAX_SIDE_PX = 800
COLUMNS = 4
PANEL_INCHES = 3.2
OPACITY = 0.65
DPI = 120


def write_heat_map(path: Path, prediction: SlidePrediction, title: str) -> None:
    """Write a PNG with the slide and one panel per class; glass is left uncoloured."""
    picture = Image.fromarray(prediction.tissue.image)
    picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.BOX)
    maps = probability_maps(prediction, (picture.height, picture.width))
    columns = min(COLUMNS, 1 + len(maps))
    rows = math.ceil((1 + len(maps)) / columns)
    height = PANEL_INCHES * picture.height / picture.width
    figure = Figure(figsize=(PANEL_INCHES * columns + 0.8, (height + 0.3) * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, [title, *prediction.classes, *[""] * (len(panels) - 1 - len(maps))], strict=True):
        axes.set_axis_off()
        axes.set_title(name, fontsize=9)
        if name:
            axes.imshow(picture)
    shown = [
        axes.imshow(values, cmap="viridis", vmin=0, vmax=1, alpha=OPACITY, interpolation="nearest")
        for axes, values in zip(panels[1:], maps, strict=False)
    ]
    figure.colorbar(shown[0], ax=list(panels), label="probability", shrink=0.8)
    figure.savefig(path, format="png", dpi=DPI)


def probability_maps(prediction: SlidePrediction, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the probability of each class on a picture of the scanned area, float32 [classes, h, w]; NaN on glass.

    Where patches overlap, it is their mean.

    Args:
        prediction: the prediction.
        size: height and width of the picture, px.
    """
    mask, classes = prediction.tissue.mask, len(prediction.classes)
    across, down = (
        per_px * side / picture_side
        for per_px, side, picture_side in zip(prediction.tissue.downsample, mask.shape[::-1], size[::-1], strict=True)
    )
    summed, count = np.zeros((classes, *size), np.float32), np.zeros(size, np.int32)
    boxes = (prediction.corners / (across, down, across, down)).round().astype(int)
    for (left, top, right, bottom), probabilities in zip(boxes, prediction.probabilities, strict=True):
        area = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
        summed[:, *area] += probabilities[:, None, None]
        count[area] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, summed / count, np.float32("nan"))
