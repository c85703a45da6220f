"""Choose the candidates of a scored pool that a rule keeps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SelectionError
from histoforge.core.seeds import numpy_rng
from histoforge.selection.counts import balanced_counts, check_pool
from histoforge.selection.rankings import ClassPool
from histoforge.selection.rules import RULES


@dataclass(frozen=True)
class Selection:
    """The candidates that a rule keeps.

    Attributes:
        rank: rank of each candidate, from 0, in the order in which the rule keeps its class's candidates, int64 [N].
        kept: bool [N].
    """

    rank: NDArray[np.int64]
    kept: NDArray[np.bool_]


def select(
    rule: str,
    entropies: NDArray[np.float64],
    distances: NDArray[np.float64],
    confidences: NDArray[np.float64],
    labels: NDArray[np.int64],
    kept: NDArray[np.int64],
    classes: list[str],
    *,
    threshold: float,
    seed: int,
) -> Selection:
    """Keep exactly `kept[c]` candidates of each class c; the order in the pool breaks ties.

    Only a rule with a threshold may keep fewer: it never keeps a candidate whose confidence is not above `threshold`.
    Where too few candidates of a class pass, it keeps fewer of every class, in the proportions of `kept` (A2-16).

    Args:
        rule: the name of a rule in `RULES`.
        entropies, distances, confidences: scores of the candidates, float64 [N].
        labels: the class that each candidate was drawn as, int64 [N].
        kept: number of candidates to keep per class, int64 [classes].
        classes: class names.
        threshold: minimum confidence, exclusive, in [0, 1].
        seed: seed of rules that draw.

    Raises:
        SettingsError: there is no such rule.
        SelectionError: a class has fewer candidates than are to be kept, or none that passes the threshold.
    """
    chosen_rule = RULES.named(rule)
    check_pool(np.bincount(labels, minlength=len(classes)), kept, classes)
    rank = np.empty(len(labels), np.int64)
    for label, count in enumerate(kept.tolist()):
        rows = np.flatnonzero(labels == label)
        rng = numpy_rng(seed, "random selection", label)
        pool = ClassPool(entropies[rows], distances[rows], confidences[rows], count, rng)
        rank[rows[chosen_rule.rank(pool)]] = np.arange(len(rows))
    is_kept = rank < kept[labels]
    if chosen_rule.has_threshold:
        is_kept &= confidences > threshold
        balanced = balanced_counts(np.bincount(labels[is_kept], minlength=len(classes)), kept)
        for label, count in enumerate(balanced.tolist()):
            if kept[label] and not count:
                highest = confidences[labels == label].max()
                raise SelectionError(
                    f"No candidate of class '{classes[label]}' has a confidence above threshold={threshold} (the "
                    f"highest is {highest:.3g}): lower threshold, or train the generator or the classifier longer."
                )
            passed = np.flatnonzero(is_kept & (labels == label))
            is_kept[passed[np.argsort(rank[passed])[count:]]] = False
    return Selection(rank, is_kept)
