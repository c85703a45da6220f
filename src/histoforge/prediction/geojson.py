"""Predictions as GeoJSON for QuPath: tiles with probabilities, and regions of each class.

The layout is that of QuPath 0.4 and later (`QuPathTypeAdapters` in qupath-core): coordinates are px of the full
resolution, `classification` has a name and an RGB colour, and `measurements` maps names to numbers.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histoforge.prediction.slide_prediction import SlidePrediction
from histoforge.slides import class_colour

DECIMALS = 2
PROBABILITY_DECIMALS = 4
UM2_PER_MM2 = 1e6


def tile_features(prediction: SlidePrediction) -> Iterator[dict[str, Any]]:
    """Yield one tile per patch, with the probability of each class as a measurement."""
    boxes = shapely.box(*prediction.corners.round(DECIMALS).T)
    names = [f"Probability: {name}" for name in prediction.classes]
    rounded = prediction.probabilities.astype(np.float64).round(PROBABILITY_DECIMALS)
    for box, label, probabilities in zip(boxes, prediction.labels, rounded.tolist(), strict=True):
        measurements = dict(zip(names, probabilities, strict=True))
        yield _feature(box, "tile", prediction.classes, int(label), measurements)


def region_features(prediction: SlidePrediction) -> Iterator[dict[str, Any]]:
    """Yield one annotation per predicted class: the union of its patches, with their number, area and probability."""
    boxes = shapely.box(*prediction.corners.round(DECIMALS).T)
    mm2_per_px2 = _level_0_mpp(prediction) ** 2 / UM2_PER_MM2
    for label in np.unique(prediction.labels).tolist():
        rows = prediction.labels == label
        region = shapely.union_all(boxes[rows])
        measurements = {
            "Patches": int(rows.sum()),
            "Mean probability": round(float(prediction.probabilities[rows, label].mean()), PROBABILITY_DECIMALS),
            "Area mm^2": round(float(region.area) * mm2_per_px2, 6),
        }
        yield _feature(region, "annotation", prediction.classes, label, measurements)


def write_features(path: Path, features: Iterator[dict[str, Any]]) -> None:
    """Write a feature collection, one feature per line, without holding all of them in memory."""
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, feature in enumerate(features):
            file.write(",\n" if number else "\n")
            json.dump(feature, file, allow_nan=False)
        file.write("\n]}\n")


def _feature(
    shape: shapely.Geometry, kind: str, classes: list[str], label: int, measurements: dict[str, float]
) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": shapely.geometry.mapping(shape),
        "properties": {
            "objectType": kind,
            "classification": {"name": classes[label], "color": list(class_colour(label))},
            "measurements": measurements,
        },
    }


def _level_0_mpp(prediction: SlidePrediction) -> float:
    """Return the resolution of the slide's level 0, um/px."""
    scale = prediction.scale
    return (scale.mpp or 0.0) * scale.patch_size[0] / scale.footprint[0]
