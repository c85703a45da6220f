"""Calibration of probabilities: reliability bins and the expected calibration error (Guo et al. 2017)."""

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.results import Result

BINS = 15


class ReliabilityBin(Result):
    """Patches whose confidence (highest probability) lies in (low, high]; empty bins are left out."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> list[ReliabilityBin]:
    """Return the non-empty reliability bins of probabilities [N, C] and labels [N]."""
    confidence, hits, bins = _binned(probabilities, labels)
    return [
        ReliabilityBin(
            low=b / BINS,
            high=(b + 1) / BINS,
            n=int((bins == b).sum()),
            confidence=float(confidence[bins == b].mean()),
            accuracy=float(hits[bins == b].mean()),
        )
        for b in np.unique(bins)
    ]


def expected_calibration_error(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean over patches of |accuracy - confidence| of their bin (eq. 3 of Guo et al.).

    The result is [B] for weights [B, N].
    """
    confidence, hits, bins = _binned(probabilities, labels)
    gaps = (hits - confidence)[:, None] * np.eye(BINS)[bins]
    total = weights.sum(1)
    return np.divide(np.abs(weights @ gaps).sum(1), total, out=np.full(len(weights), np.nan), where=total > 0)


def _binned(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    confidence = probabilities.max(1)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return confidence, probabilities.argmax(1) == labels, bins
