"""Signs of mode collapse: how far apart generated patches lie, and how many different real patches they are nearest to.

Each number is given together with that of real patches. The numbers are signs, not proof: they miss whatever the
extractor does not see, and patches far from the real ones also have few different neighbours. Classes are compared
separately, because a generator that collapsed within each class still varies over all of them.
"""

import numpy as np
from numpy.typing import NDArray

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.features import Features, nearest, same_space, squared_distance_blocks
from histoforge.metrics.results import Result

MIN_PATCHES = 8
"""Minimum number of real and generated patches of a class."""
COLLAPSED_BELOW = 0.5
"""A score below this share of that of real patches is a sign of collapse."""


class ClassDiversity(Result):
    """Variety of the generated patches of one class.

    Attributes:
        class_name: the class.
        n: number of generated patches compared, and of real ones.
        pairwise, pairwise_real: mean Euclidean distance between two different patches.
        spread: the ratio of the two; 1 for equal variety, 0 for a single image.
        distinct: number of different nearest neighbours that the generated patches have in one half of the real
            patches, divided by the number of generated patches queried.
        distinct_real: the same for the other half of the real patches.
        collapsed: True if either score is less than half of what real patches show.
    """

    class_name: str
    n: int
    pairwise: float
    pairwise_real: float
    spread: float | None
    distinct: float
    distinct_real: float
    collapsed: bool


class Diversity(Result):
    """Variety of all classes.

    Attributes:
        extractor: the network in whose features distances are measured.
        spread, distinct, distinct_real: means over the classes that could be judged; None if there are none.
        classes: one row per class with enough patches.
        collapsed: names of the classes with signs of collapse.
        note: the classes that were left out; empty if none were.
    """

    extractor: str
    spread: float | None
    distinct: float | None
    distinct_real: float | None
    classes: list[ClassDiversity]
    collapsed: list[str]
    note: str


def diversity(
    real: Features,
    real_labels: NDArray[np.int64],
    fake: Features,
    fake_labels: NDArray[np.int64],
    classes: list[str],
    extractor: str,
    seed: int = 0,
) -> Diversity:
    """Compare the variety of generated features [M, D] with that of real features [N, D], class by class.

    A class with fewer than 8 real or generated patches is left out.

    Args:
        extractor: the name of the network that made the features.
        seed: seed of the random halves and of the subsample that makes both sides equal in number.

    Raises:
        ValueError: features are not finite, or have different dimensions.
    """
    reals, fakes = same_space(real, fake)
    rows, left_out = [], []
    for label, name in enumerate(classes):
        real_rows, fake_rows = np.flatnonzero(real_labels == label), np.flatnonzero(fake_labels == label)
        if min(len(real_rows), len(fake_rows)) < MIN_PATCHES:
            left_out.append(name)
            continue
        rng = numpy_rng(seed, "diversity", label)
        n = min(len(real_rows), len(fake_rows))
        real_rows, fake_rows = rng.permutation(real_rows), rng.permutation(fake_rows)[:n]
        rows.append(_row(name, reals[real_rows], fakes[fake_rows]))
    means = [_mean([getattr(row, name) for row in rows]) for name in ("spread", "distinct", "distinct_real")]
    return Diversity(
        extractor=extractor,
        spread=means[0],
        distinct=means[1],
        distinct_real=means[2],
        classes=rows,
        collapsed=[row.class_name for row in rows if row.collapsed],
        note=f"Too few patches to judge: {', '.join(left_out)}." if left_out else "",
    )


def mean_pairwise_distance(features: Features) -> float:
    """Return the mean Euclidean distance between two different rows of features [N, D].

    Raises:
        ValueError: there are fewer than two rows.
    """
    points, _ = same_space(features, features)
    if len(points) < 2:
        raise ValueError("a pairwise distance needs at least two samples")
    total = sum(float(block.sqrt().double().sum()) for _, block in squared_distance_blocks(points, points))
    return total / (len(points) * (len(points) - 1))


def distinct_neighbours(queries: Features, points: Features) -> float:
    """Count the different nearest neighbours among `points` [P, D], divided by the number of `queries` [Q, D]."""
    queries, points = same_space(queries, points)
    return len(nearest(queries, points)[1].unique()) / len(queries)


def _row(name: str, reals: Features, fakes: Features) -> ClassDiversity:
    """Compare real patches, in random order, with at most as many generated ones."""
    n, half = len(fakes), len(reals) // 2
    n_queries = min(half, n)
    pairwise, pairwise_real = mean_pairwise_distance(fakes), mean_pairwise_distance(reals[:n])
    distinct = distinct_neighbours(fakes[:n_queries], reals[half:])
    distinct_real = distinct_neighbours(reals[:n_queries], reals[half:])
    spread = pairwise / pairwise_real if pairwise_real > 0 else None
    return ClassDiversity(
        class_name=name,
        n=n,
        pairwise=pairwise,
        pairwise_real=pairwise_real,
        spread=spread,
        distinct=distinct,
        distinct_real=distinct_real,
        collapsed=(spread is not None and spread < COLLAPSED_BELOW) or distinct < COLLAPSED_BELOW * distinct_real,
    )


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
