"""Rules that choose the candidates to keep: Algorithm 1 and the rules that it is compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SelectionError
from histoforge.core.seeds import numpy_rng
from histoforge.selection.counts import check_pool, first_step_count

Rule = Literal["entropy_centroid", "distance", "random", "confidence"]
Values = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class ClassPool:
    """The candidates of one class and the data that a rule may use.

    Attributes:
        entropy, distance, confidence: scores, float64 [n] (see `scores.Scores`).
        kept: number of candidates to keep.
        rng: for the rule that draws.
    """

    entropy: Values
    distance: Values
    confidence: Values
    kept: int
    rng: np.random.Generator


@dataclass(frozen=True)
class Selection:
    """The decision of a rule.

    Attributes:
        rank: rank of each candidate, from 0, in the order in which the rule keeps its class's candidates, int64 [N].
        kept: bool [N].
    """

    rank: Places
    kept: NDArray[np.bool_]


def entropy_centroid(pool: ClassPool) -> Places:
    """Algorithm 1 of Xue et al. 2021: keep candidates of low entropy, and of these the ones near the class centroid.

    A4-11: the paper keeps what is strictly below the median, which drops ties and the middle of odd counts. Here both
    steps rank candidates and keep exact counts (`first_step_count`); the second step ranks only the survivors of the
    first.

    A4-13: the paper calls this rule the best in all metrics, with a gain of 2.8%. In its Table 1 the sensitivity is
    0.671 against 0.690 of plain GAN augmentation, and in its Table 2 the gain is 2.7 points. Neither is a target here.
    """
    by_entropy = np.argsort(pool.entropy, kind="stable")
    count = first_step_count(len(by_entropy), pool.kept)
    survivors, others = np.sort(by_entropy[:count]), by_entropy[count:]
    return np.concatenate([survivors[np.argsort(pool.distance[survivors], kind="stable")], others])


def distance(pool: ClassPool) -> Places:
    """Single filtering (Xue et al. 2019): keep the candidates nearest to their class's centroid."""
    return np.argsort(pool.distance, kind="stable")


def random(pool: ClassPool) -> Places:
    """Augmentation without selection, "GAN augmentation" in table 1: keep random candidates."""
    return pool.rng.permutation(len(pool.entropy))


def confidence(pool: ClassPool) -> Places:
    """Keep the candidates to whose intended class the classifier assigns the highest probability."""
    return np.argsort(-pool.confidence, kind="stable")


RULES: dict[str, Callable[[ClassPool], Places]] = {
    "entropy_centroid": entropy_centroid,
    "distance": distance,
    "random": random,
    "confidence": confidence,
}


def select(
    rule: Rule,
    entropy: Values,
    distances: Values,
    confidences: Values,
    labels: Places,
    kept: Places,
    classes: list[str],
    *,
    threshold: float,
    seed: int,
) -> Selection:
    """Keep exactly `kept[c]` candidates of each class c; ties are broken by the place in the pool.

    Only the rule 'confidence' may keep fewer: it never keeps a candidate whose confidence is not above `threshold`.

    Args:
        rule: one of `RULES`.
        entropy, distances, confidences: scores of the candidates, float64 [N].
        labels: the class that each candidate was drawn as, int64 [N].
        kept: number of candidates to keep per class, int64 [classes].
        classes: class names.
        threshold: minimum confidence, exclusive, in [0, 1].
        seed: seed of the rule 'random'.

    Raises:
        SelectionError: a class has fewer candidates than are to be kept, or none passes the threshold.
    """
    check_pool(np.bincount(labels, minlength=len(classes)), kept, classes)
    rank = np.empty(len(labels), np.int64)
    for label, count in enumerate(kept.tolist()):
        rows = np.flatnonzero(labels == label)
        pool = ClassPool(
            entropy[rows], distances[rows], confidences[rows], count, numpy_rng(seed, "random selection", label)
        )
        rank[rows[RULES[rule](pool)]] = np.arange(len(rows))
    chosen = rank < kept[labels]
    if rule == "confidence":
        chosen &= confidences > threshold
        if not chosen.any():
            raise SelectionError(
                f"No candidate has a confidence above threshold={threshold} (the highest is {confidences.max():.3g}): "
                "lower threshold, or train the generator or the classifier longer."
            )
    return Selection(rank, chosen)
