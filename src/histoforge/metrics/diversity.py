"""Signs of mode collapse: how far generated patches lie apart, and how many different real ones they are nearest to.

Each number stands beside that of real patches. They are signs and no proof: what an extractor does not see is not
counted, and patches that lie outside the real ones have few different neighbours too. Classes are looked at one by one,
because a generator that collapsed within each class still varies over all of them.
"""

import numpy as np
from numpy.typing import NDArray

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.features import Features, nearest, same_space, squared_distance_blocks
from histoforge.metrics.results import Result

FEWEST = 8
NOTABLE = 0.5


class ClassDiversity(Result):
    """How varied the generated patches of one class are.

    Attributes:
        class_name: the class.
        n: generated patches compared, and as many real ones.
        pairwise, pairwise_real: mean Euclidean distance of two different patches.
        spread: their ratio; 1 for equal variety, 0 for a single image.
        distinct: share of generated patches that have a nearest real neighbour of their own: different neighbours
            among one half of the real patches, divided by the patches asked.
        distinct_real: the same of the other half of the real patches.
        collapsed: whether either is less than half of what real patches show.
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
        extractor: whose features distances are measured in.
        spread, distinct, distinct_real: means over the classes that could be judged; None without any.
        classes: a row a class that has patches enough.
        collapsed: names of the classes with signs of collapse.
        note: which classes were left out; empty where none was.
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
    """Variety of generated features [M, D] against real ones [N, D], class by class.

    A class with fewer than 8 real or generated patches is left out.

    Args:
        extractor: the name of the network that made the features.
        seed: of the halves and of the subsample that makes both sides equally many.

    Raises:
        ValueError: features that are not finite, or of different dimensions.
    """
    reals, fakes = same_space(real, fake)
    rows, left_out = [], []
    for label, name in enumerate(classes):
        own, drawn = np.flatnonzero(real_labels == label), np.flatnonzero(fake_labels == label)
        if min(len(own), len(drawn)) < FEWEST:
            left_out.append(name)
            continue
        rng = numpy_rng(seed, "diversity", label)
        n = min(len(own), len(drawn))
        own, drawn = rng.permutation(own), rng.permutation(drawn)[:n]
        rows.append(_row(name, reals[own], fakes[drawn]))
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
    """Mean Euclidean distance of two different rows of features [N, D].

    Raises:
        ValueError: fewer than two rows.
    """
    points, _ = same_space(features, features)
    if len(points) < 2:
        raise ValueError("a pairwise distance needs at least two samples")
    total = sum(float(block.sqrt().double().sum()) for _, block in squared_distance_blocks(points, points))
    return total / (len(points) * (len(points) - 1))


def distinct_neighbours(queries: Features, points: Features) -> float:
    """Different nearest neighbours among `points` [P, D], divided by the number of `queries` [Q, D]."""
    asked, known = same_space(queries, points)
    return len(nearest(asked, known)[1].unique()) / len(asked)


def _row(name: str, reals: Features, fakes: Features) -> ClassDiversity:
    """Of real patches in random order, and of at most as many generated ones."""
    n, half = len(fakes), len(reals) // 2
    asked = min(half, n)
    pairwise, pairwise_real = mean_pairwise_distance(fakes), mean_pairwise_distance(reals[:n])
    distinct = distinct_neighbours(fakes[:asked], reals[half:])
    distinct_real = distinct_neighbours(reals[:asked], reals[half:])
    spread = pairwise / pairwise_real if pairwise_real > 0 else None
    return ClassDiversity(
        class_name=name,
        n=n,
        pairwise=pairwise,
        pairwise_real=pairwise_real,
        spread=spread,
        distinct=distinct,
        distinct_real=distinct_real,
        collapsed=(spread is not None and spread < NOTABLE) or distinct < NOTABLE * distinct_real,
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
