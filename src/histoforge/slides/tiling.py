"""Plan the patches of a slide as a table of coordinates and labels, without reading their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from histoforge.slides.annotations import Region
from histoforge.slides.reading import Slide
from histoforge.slides.scale import Scale
from histoforge.slides.tissue import Tissue

Membership = Literal["centre", "fraction"]
LATTICE_POINTS = 200_000


@dataclass(frozen=True)
class PlanSettings:
    """Settings for cutting a slide into patches.

    Attributes:
        stride: distance between patches, px of the patches; None is the patch size less the overlap.
        min_tissue: minimum fraction of tissue in a patch, in [0, 1].
        membership: 'centre' assigns a patch to the region that contains its centre, 'fraction' to the class that
            covers at least `min_region` of it.
        min_region: minimum fraction of a patch inside a class's regions, in (0, 1], for 'fraction'.
        overlap: overlap of patches, px of the patches, if no stride is given.
    """

    stride: int | None = None
    min_tissue: float = 0.5
    membership: Membership = "centre"
    min_region: float = 0.75
    overlap: float = 0.0


def plan_patches(
    slide: Slide,
    scale: Scale,
    tissue: Tissue,
    settings: PlanSettings,
    regions: Sequence[Region] | None = None,
    slide_label: int | None = None,
) -> pd.DataFrame:
    """Plan the patches of a slide, row by row.

    If there are regions, a patch gets the label of its region, and patches outside all regions are excluded. Without
    regions, every patch gets the slide's label.

    Args:
        regions: annotated regions whose `label` is set; None or empty if the slide has none.
        slide_label: the label of the whole slide, for a slide without regions.

    Returns:
        A table with one row per patch: x and y (upper left corner, level-0 px, int64), label (int64) and tissue
        (fraction of the patch, float64 in [0, 1]).
    """
    x, y, fractions = _on_tissue(*lattice(slide, scale, settings), scale, tissue, settings.min_tissue)
    if regions:
        labels = region_labels(x, y, scale.footprint, regions, settings)
    else:
        labels = np.full(len(x), -1 if slide_label is None else slide_label, np.int64)
    plan = pd.DataFrame({"x": x, "y": y, "label": labels, "tissue": fractions})
    return plan[plan["label"] >= 0].reset_index(drop=True)


def lattice(slide: Slide, scale: Scale, settings: PlanSettings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the left edges of columns and the top edges of rows of patches inside the scanned area, level-0 px."""
    rows, columns = (
        _starts(length, footprint, (settings.stride or side - settings.overlap) * footprint / side, scale.downsample)
        + origin
        for length, footprint, side, origin in zip(
            (slide.bounds.height, slide.bounds.width),
            scale.footprint,
            scale.patch_size,
            (slide.bounds.y, slide.bounds.x),
            strict=True,
        )
    )
    return columns, rows


def _on_tissue(
    columns: NDArray[np.int64], rows: NDArray[np.int64], scale: Scale, tissue: Tissue, min_tissue: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return corners and tissue of the patches with enough tissue, a few rows at a time to keep memory constant."""
    kept_patches = []
    step = max(1, LATTICE_POINTS // max(1, len(columns)))
    for start in range(0, max(1, len(rows)), step):
        y, x = (side.ravel() for side in np.meshgrid(rows[start : start + step], columns, indexing="ij"))
        fractions = tissue.fractions(x, y, scale.footprint)
        kept = fractions >= max(min_tissue, 1e-9)
        kept_patches.append((x[kept], y[kept], fractions[kept]))
    x, y, fractions = (np.concatenate(column) for column in zip(*kept_patches, strict=True))
    return x, y, fractions


def region_labels(
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    footprint: tuple[float, float],
    regions: Sequence[Region],
    settings: PlanSettings,
) -> NDArray[np.int64]:
    """Return the labels of n patches from the regions, int64 [n]; -1 outside all regions.

    If regions of several classes contain a patch's centre, the smallest one decides, so that a lesion drawn inside a
    larger region counts. If several classes cover the patch, the one that covers most decides.
    """
    labels = np.full(len(x), -1, np.int64)
    height, width = footprint
    if settings.membership == "centre":
        centres_x, centres_y = x + width / 2, y + height / 2
        for region in sorted(regions, key=lambda region: -region.polygon.area):
            shapely.prepare(region.polygon)
            labels[shapely.contains_xy(region.polygon, centres_x, centres_y)] = region.label
        return labels
    boxes = shapely.box(x, y, x + width, y + height)
    best = np.full(len(x), settings.min_region - 1e-9)
    for label in sorted({region.label for region in regions}):
        area = shapely.union_all([region.polygon for region in regions if region.label == label])
        shapely.prepare(area)
        touched = np.flatnonzero(shapely.intersects(area, boxes))
        covered = shapely.area(shapely.intersection(area, boxes[touched])) / (width * height)
        better = covered > best[touched]
        labels[touched[better]] = label
        best[touched[better]] = covered[better]
    return labels


def _starts(length: float, footprint: float, step: float, downsample: float) -> NDArray[np.int64]:
    """Return the patch positions along one side, level-0 px, on whole pixels of the level that is read."""
    count = max(0, int((length - footprint + downsample / 2) // step) + 1)
    starts = np.round(np.round(np.arange(count) * step / downsample) * downsample).astype(np.int64)
    return starts[starts + footprint <= length + downsample / 2]
