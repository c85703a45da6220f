"""The rankings behind the selection rules: Algorithm 1 and the rules that it is compared with."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.selection.counts import first_step_count

Order = NDArray[np.int64]


@dataclass(frozen=True)
class ClassPool:
    """The candidates of one class and the data that a rule may use.

    Attributes:
        entropy, distance, confidence: scores, float64 [n] (see `scores.Scores`).
        kept: number of candidates to keep.
        rng: for rules that draw.
    """

    entropy: NDArray[np.float64]
    distance: NDArray[np.float64]
    confidence: NDArray[np.float64]
    kept: int
    rng: np.random.Generator


def entropy_centroid(pool: ClassPool) -> Order:
    """Algorithm 1 of Xue et al. 2021: keep candidates of low entropy, and of these the ones near the class centroid.

    A4-11: the paper keeps what is strictly below the median, which drops ties and the middle of odd counts. Here both
    steps rank candidates and keep exact counts (`first_step_count`); the second step ranks only the survivors of the
    first.

    A4-13: the paper calls this rule the best in all metrics, with a gain of 2.8%. In its Table 1 the sensitivity is
    0.671 against 0.690 of plain GAN augmentation, and in its Table 2 the gain is 2.7 points. Neither is a target here.
    """
    by_entropy = np.argsort(pool.entropy, kind="stable")
    count = first_step_count(len(by_entropy), pool.kept)
    survivors, filtered_out = np.sort(by_entropy[:count]), by_entropy[count:]
    return np.concatenate([survivors[np.argsort(pool.distance[survivors], kind="stable")], filtered_out])


def distance(pool: ClassPool) -> Order:
    """Single filtering (Xue et al. 2019): keep the candidates nearest to their class's centroid."""
    return np.argsort(pool.distance, kind="stable")


def random(pool: ClassPool) -> Order:
    """Augmentation without selection, "GAN augmentation" in table 1: keep random candidates."""
    return pool.rng.permutation(len(pool.entropy))


def confidence(pool: ClassPool) -> Order:
    """Keep the candidates to whose intended class the classifier assigns the highest probability."""
    return np.argsort(-pool.confidence, kind="stable")
