"""ROC curves with finite thresholds, and the area under them for many weightings at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.results import Result

MOST_POINTS = 200


class RocCurve(Result):
    """The ROC curve of one class against all others.

    Attributes:
        name: name of the class.
        false_positive_rate, true_positive_rate: rates that both rise from 0 to 1.
        thresholds: lowest probabilities that are called positive; falling, all finite, the first above every
            probability.
    """

    name: str
    false_positive_rate: list[float]
    true_positive_rate: list[float]
    thresholds: list[float]


def roc_curve(name: str, positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> RocCurve:
    """Return the ROC curve of scores [N] for patches that are `positive` [N], with at most 200 points and (0, 0).

    Raises:
        ValueError: all patches are positive, or none is.
    """
    if positive.all() or not positive.any():
        raise ValueError("a ROC curve needs patches of both kinds")
    order, ends = _groups(scores)
    hits = np.cumsum(positive[order].astype(np.int64))[ends]
    alarms = ends + 1 - hits
    kept = _corners(hits, alarms)
    true_rate, false_rate = hits[kept] / hits[-1], alarms[kept] / alarms[-1]
    thresholds = scores[order][ends][kept]
    return RocCurve(
        name=name,
        false_positive_rate=[0.0, *false_rate.tolist()],
        true_positive_rate=[0.0, *true_rate.tolist()],
        thresholds=[float(thresholds[0]) + 1.0, *thresholds.tolist()],
    )


def weighted_auc(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return the area under the curve as a function from weights [B, N] to [B]; NaN where one kind has no weight.

    Scores are sorted once. Ties count half, as in the Mann-Whitney statistic.
    """
    order, ends = _groups(scores)
    starts = np.concatenate([[0], ends[:-1] + 1])
    sorted_positive = positive[order]

    def area(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = weights[:, order]
        hits = ordered * sorted_positive
        alarms = ordered - hits
        if len(starts) < len(order):
            hits, alarms = np.add.reduceat(hits, starts, axis=1), np.add.reduceat(alarms, starts, axis=1)
        above = np.cumsum(hits, axis=1)
        pairs = above[:, -1] * alarms.sum(1)
        above -= hits / 2
        won = np.einsum("bn,bn->b", above, alarms)
        return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)

    return area


def _groups(scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of falling scores and the last index of each run of equal scores."""
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))


def _corners(hits: NDArray[np.int64], alarms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return indices where the curve bends, thinned evenly to at most `MOST_POINTS`; the last index is always kept."""
    bends = np.append((np.diff(hits, 2) != 0) | (np.diff(alarms, 2) != 0), True)
    indices = np.flatnonzero(np.append(True, bends)) if len(hits) > 1 else np.array([0])
    if len(indices) > MOST_POINTS:
        indices = indices[np.linspace(0, len(indices) - 1, MOST_POINTS).round().astype(int)]
    return indices
