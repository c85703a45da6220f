"""The rules that keep some of the candidates: Algorithm 1 and what it is compared with."""

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
    """The candidates of one class, and what a rule may look at.

    Attributes:
        entropy, distance, confidence: scores, float64 [n] (see `scores.Scores`).
        kept: how many are to be kept.
        rng: for the rule that draws.
    """

    entropy: Values
    distance: Values
    confidence: Values
    kept: int
    rng: np.random.Generator


@dataclass(frozen=True)
class Selection:
    """What a rule decided.

    Attributes:
        rank: place of each candidate in the order in which the rule keeps its class's candidates, from 0, int64 [N].
        kept: bool [N].
    """

    rank: Places
    kept: NDArray[np.bool_]


def entropy_centroid(pool: ClassPool) -> Places:
    """Algorithm 1 of Xue et al. 2021: first the candidates of low entropy, of these the ones near the class centroid.

    A4-11: the paper keeps what is strictly below the median, which drops ties and the middle of odd counts. Here both
    steps rank and take exact counts (`first_step_count`); the second ranks the survivors of the first alone.

    A4-13: the paper calls this rule the best in all metrics, with a gain of 2.8%. In its Table 1 the sensitivity is
    0.671 against 0.690 of plain GAN augmentation, and in its Table 2 the gain is 2.7 points: neither is a target here.
    """
    by_entropy = np.argsort(pool.entropy, kind="stable")
    count = first_step_count(len(by_entropy), pool.kept)
    survivors, others = np.sort(by_entropy[:count]), by_entropy[count:]
    return np.concatenate([survivors[np.argsort(pool.distance[survivors], kind="stable")], others])


def distance(pool: ClassPool) -> Places:
    """Single filtering (Xue et al. 2019): the candidates nearest to their class's centroid."""
    return np.argsort(pool.distance, kind="stable")


def random(pool: ClassPool) -> Places:
    """Augmentation without selection, "GAN augmentation" in table 1: candidates drawn blindly."""
    return pool.rng.permutation(len(pool.entropy))


def confidence(pool: ClassPool) -> Places:
    """The candidates of which the classifier believes most firmly that they are of the class they were drawn as."""
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
    """Keep exactly `kept[c]` candidates of each class c; equal scores go by their place in the pool.

    The rule 'confidence' alone may keep fewer: never a candidate whose confidence is not above `threshold`.

    Args:
        rule: which of `RULES`.
        entropy, distances, confidences: scores of the candidates, float64 [N].
        labels: the class each candidate was drawn as, int64 [N].
        kept: how many to keep of each class, int64 [classes].
        classes: their names.
        threshold: least confidence, exclusive, in [0, 1].
        seed: of the rule 'random'.

    Raises:
        SelectionError: a class has fewer candidates than are to be kept, or nothing passes the threshold.
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
