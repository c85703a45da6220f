"""Patches that the report shows, drawn by seed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.findings import SamplePatch
from histoforge.evaluation.synthetic_sets import SyntheticSets, draw_rows
from histoforge.patches import PatchSet


def sample_patches(
    train: PatchSet, sets: SyntheticSets | None, count: int, seed: int
) -> dict[str, dict[str, list[SamplePatch]]]:
    """Draw patches to show by class and group, fewer of each if there are many classes."""
    count = min(count, max(2, 160 // (4 * len(train.classes)))) if count else 0
    shown: dict[str, dict[str, list[SamplePatch]]] = {}
    for label, name in enumerate(train.classes):
        groups = {"real": _draw_samples(train, train.labels == label, count, seed, {})}
        if sets is not None:
            in_class = sets.patches.labels == label
            masks = (
                {"selected": in_class & sets.kept, "rejected": in_class & ~sets.kept}
                if sets.kept.any()
                else {"synthetic": in_class}
            )
            groups |= {
                group: _draw_samples(sets.patches, mask, count, seed, sets.scores) for group, mask in masks.items()
            }
        shown[name] = groups
    return shown


def _draw_samples(
    patches: PatchSet, mask: NDArray[np.bool_], count: int, seed: int, scores: Mapping[str, NDArray[Any]]
) -> list[SamplePatch]:
    rows = np.flatnonzero(mask)
    rows = rows[draw_rows(len(rows), count, seed, "shown")]
    images = list(patches.images(rows)) if len(rows) else []
    captions = [
        ", ".join(f"{name} {values[row]:.2f}" for name, values in scores.items() if name != "confidence")
        for row in rows
    ]
    return [SamplePatch(image, caption) for image, caption in zip(images, captions, strict=True)]
