"""Score independent draws of a generator at each of its spatial levels (PathUp, section 4.4).

A3-9: the paper compares them with the test set. Here they are compared with training images, as many of each kind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from histoforge.core.progress import Progress
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.evaluation import scoring
from histoforge.evaluation.level_scores import OVERVIEW, PATCH, LevelScores
from histoforge.evaluation.scoring import Labels, PatchFeatures, Pixels
from histoforge.generators.loading import Described, Generator, LevelGenerator, OverviewGenerator, draw_batches
from histoforge.metrics.extract import Extractor, extract_features
from histoforge.metrics.features import Features
from histoforge.metrics.generative import GenerativeMetrics, generative_metrics
from histoforge.patches import PatchSet


@dataclass(frozen=True)
class Comparison:
    """Settings of the comparison of synthetic images with real ones.

    Attributes:
        extractors: the networks whose features are compared.
        neighbours: k of improved precision and recall.
        batch_size: images drawn or computed at once.
        seed: seed of all random choices.
        device: where to compute.
    """

    extractors: Sequence[Extractor]
    neighbours: int
    batch_size: int
    seed: int
    device: torch.device

    def features(self, images: PatchSet | Pixels, name: str) -> list[Features]:
        """Return the features of images by each extractor; `name` is theirs in the progress."""
        return [
            extract_features(each, images, self.device, batch_size=self.batch_size, label=f"features of {name}")
            for each in self.extractors
        ]

    def features_of_draw(self, generator: Generator, labels: Labels, seed: int) -> list[Features]:
        """Return the features of images that a generator draws, by each extractor, without keeping the images."""
        batches = []
        with Progress("synthetic images", len(labels), "images") as progress:
            for _, pixels in draw_batches(generator, labels, seed, self.batch_size):
                batches.append(self.features(pixels, "synthetic images"))
                progress.advance(len(pixels))
        return join_features(batches)

    def compare(self, real: Sequence[Features], fake: Sequence[Features]) -> list[GenerativeMetrics]:
        """Return the metrics of features by each extractor, of at most as many synthetic images as real ones."""
        return [
            generative_metrics(
                of_real, of_fake[: len(of_real)], extractor.name, neighbours=self.neighbours, seed=self.seed
            )
            for extractor, of_real, of_fake in zip(self.extractors, real, fake, strict=True)
        ]

    def level_scores(
        self,
        level: str,
        draws: Sequence[Sequence[GenerativeMetrics]],
        real: Sequence[Features],
        held_out: Sequence[Features],
    ) -> list[LevelScores]:
        """Return the scores of a level, a row per extractor.

        Args:
            level: its name.
            draws: the metrics of each draw by extractor.
            real: the features of the real images that the draws were compared with, by extractor.
            held_out: those of validation images; empty without any.
        """
        reached = self.compare(real, held_out) if held_out else [None] * len(self.extractors)
        by_extractor = zip(*draws, strict=True)
        return [LevelScores.of(level, rows, other) for rows, other in zip(by_extractor, reached, strict=True)]


@dataclass(frozen=True)
class Draws:
    """The draws of a generator that are scored.

    Attributes:
        generations: number of independent draws.
        count: images of each, and the maximum that is compared with as many real ones.
        balanced: True to draw the same number of each class, rather than the shares of the training split.
    """

    generations: int
    count: int
    balanced: bool


def score_drawn(
    generator: Generator | None,
    labels: Labels,
    features: Sequence[PatchFeatures],
    real: PatchSet,
    draws: Draws,
    comparison: Comparison,
) -> list[LevelScores]:
    """Return the scores of a generator at the level of the real images, a row per extractor.

    Args:
        generator: a generator of any method; None for images that exist already, which are a single draw.
        labels: the class of each image of a draw.
        features: the features of real images and of the first draw, which exists already.
        real: the patch set of the real images, for their level.
        draws: the draws.
        comparison: how to compare them.
    """
    level = str(real.info.made_by.get("level", PATCH))
    names = [extractor.name for extractor in comparison.extractors]
    judged = [next(row for row in features if row.extractor == name) for name in names]
    compared = [row.real[: draws.count] for row in judged]
    held_out = [row.held_out for row in judged if row.held_out is not None]
    first = comparison.compare(compared, [row.fake for row in judged])
    numbers = range(1, draws.generations)
    further = _metrics_of_draws(generator, labels, numbers, compared, comparison) if generator else []
    return comparison.level_scores(level, [first, *further], compared, held_out)


def score_overviews(
    generator: Described, overviews: PatchSet, draws: Draws, comparison: Comparison
) -> list[LevelScores]:
    """Return the scores of a generator's overviews, a row per extractor; empty if it draws patches alone.

    Args:
        generator: a generator of any method.
        overviews: real overviews, of which training and validation split are read.
        draws: the draws.
        comparison: how to compare them.

    Raises:
        ModelError: the generator draws other classes or another size.
    """
    if not isinstance(generator, LevelGenerator) or generator.levels < 2:
        return []
    scoring.check_generator(generator, "that is scored", overviews, "the overviews")
    held_out = held_out_images(overviews, comparison.seed)
    compared = compared_images(overviews, comparison.seed, draws.count)
    real = comparison.features(compared, "training overviews")
    labels = scoring.labels_to_draw(overviews.split("train"), draws.count, draws.balanced, comparison.seed)
    drawn = _metrics_of_draws(OverviewGenerator(generator), labels, range(draws.generations), real, comparison)
    reached = [] if held_out is None else comparison.features(held_out, "validation overviews")
    return comparison.level_scores(OVERVIEW, drawn, real, reached)


def compared_images(images: PatchSet, seed: int, count: int) -> PatchSet:
    """Return at most `count` training images in random order.

    Raises:
        PatchSetError: there are none.
    """
    train = images.split("train")
    return train.where(numpy_rng(seed, "compared").permutation(len(train))[:count])


def held_out_images(images: PatchSet, seed: int, count: int | None = None) -> PatchSet | None:
    """Return at most `count` validation images in random order; None if there are none."""
    rows = np.flatnonzero(images.index["split"].to_numpy() == "val")
    return images.where(numpy_rng(seed, "held out").permutation(rows)[:count]) if len(rows) else None


def join_features(batches: Iterable[Sequence[Features]]) -> list[Features]:
    """Return the features of several batches as those of one, by extractor."""
    return [np.concatenate(of_extractor) for of_extractor in zip(*batches, strict=True)]


def _metrics_of_draws(
    generator: Generator, labels: Labels, numbers: Iterable[int], real: Sequence[Features], comparison: Comparison
) -> list[list[GenerativeMetrics]]:
    """Draw images of the same classes from other noise for each number, and return their metrics by extractor.

    The draw with the number 0 has the seed itself.
    """
    metrics = []
    for number in numbers:
        seed = derive_seed(comparison.seed, "generation", number) if number else comparison.seed
        metrics.append(comparison.compare(real, comparison.features_of_draw(generator, labels, seed)))
    return metrics
