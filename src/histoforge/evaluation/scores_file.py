"""Write what `score_generator` makes: the synthetic patches, and the folder of their scores."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from histoforge.core.digests import digest_file
from histoforge.core.files import atomic_directory
from histoforge.core.progress import Progress
from histoforge.core.seals import write_sealed
from histoforge.evaluation.generator_scores import FEATURES_NAME, FILE_NAME, SCHEMA_VERSION, GeneratorScores
from histoforge.evaluation.scoring import Labels, PatchFeatures, Pixels
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.pictures import grid, save_png
from histoforge.training.model_files import ModelInfo


def write_samples(
    path: Path,
    labels: Labels,
    batches: Iterable[Pixels],
    *,
    generator: ModelInfo,
    real: PatchSet,
    made_by: Mapping[str, Any],
) -> PatchSet:
    """Write synthetic patches, and return their set.

    Args:
        path: the directory.
        labels: their classes, int64 [N].
        batches: consecutive patches, uint8 [n, H, W, 3], N in all.
        generator: the description of their generator.
        real: the patch set that they are compared with.
        made_by: how they were made; its 'config' has the seed.
    """
    mpp = {} if real.info.mpp is None else {"mpp": real.info.mpp}
    origin = {"method": generator.method, "generator": generator.digest, "seed": made_by["config"]["seed"], **mpp}
    with PatchSetWriter.create(path, real.classes, real.patch_size, real.info.mpp, synthetic=True) as writer:
        with Progress("samples", len(labels), "patches") as progress:
            for pixels in batches:
                writer.add(pixels, label=labels[progress.done : progress.done + len(pixels)], **origin)
                progress.advance(len(pixels))
        writer.finish(dict(made_by))
    return PatchSet.open(path)


def write_scores(
    path: Path, scores: GeneratorScores, mapped: Mapping[str, Any], picture: Image.Image, generator: Path
) -> None:
    """Write the scores, the features for maps, a picture, and the history of the generator's training if it has one."""
    with atomic_directory(path) as folder:
        np.savez(folder / FEATURES_NAME, **mapped)
        digest = digest_file(folder / FEATURES_NAME)
        write_sealed(folder / FILE_NAME, {**scores.model_dump(mode="json"), "features": digest}, SCHEMA_VERSION)
        save_png(picture, folder / "pictures" / "grid.png")
        history = generator / "history.json"
        if history.is_file():
            shutil.copyfile(history, folder / history.name)


def mapped_features(features: PatchFeatures, real_labels: Labels, fake_labels: Labels, count: int) -> dict[str, Any]:
    """Return the features of the first `count` real and synthetic patches, with their labels."""
    rows = slice(0, count)
    return {
        "real": features.real[rows],
        "real_labels": real_labels[rows],
        "fake": features.fake[rows],
        "fake_labels": fake_labels[rows],
    }


def class_grid(patches: PatchSet, columns: int) -> Image.Image:
    """Return a picture with the first patches of each class in a row of its own."""
    labels = patches.labels
    shown = [np.flatnonzero(labels == label)[:columns] for label in range(int(labels.max()) + 1)]
    return grid(patches.images(np.concatenate(shown)), columns)
