"""The score that decides an answer, chosen from the classes of the test split before any prediction."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AUTO = "auto"
EVEN = 1.25
"""Classes are even if the largest one has at most this many times the patches of the smallest."""


def leading_score(score: str, labels: NDArray[np.integer], classes: Sequence[str]) -> tuple[str, str]:
    """Return the score that decides, and a sentence on why; '' if the score was given.

    Accuracy serves where classes are even. Elsewhere a classifier that always gives the same answer has a high
    accuracy, so balanced accuracy decides.

    Args:
        score: a score's name, or 'auto'.
        labels: classes of the test patches, [N].
        classes: class names.
    """
    if score != AUTO:
        return score, ""
    counts = np.bincount(labels, minlength=len(classes))
    numbers = f"{counts.min():,} to {counts.max():,} patches each"
    if counts.max() <= EVEN * counts.min():
        return "accuracy", f"Accuracy decides, because the classes of the test split are even ({numbers})."
    return (
        "balanced_accuracy",
        f"Balanced accuracy decides, because the classes of the test split are uneven ({numbers}).",
    )
