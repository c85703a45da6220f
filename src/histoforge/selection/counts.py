"""Numbers of candidates to draw and to keep per class, in whole numbers."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SelectionError


def kept_counts(real: NDArray[np.int64], ratio: float) -> NDArray[np.int64]:
    """Return the number of synthetic patches to keep: r N in all, r N_i per class (Xue et al. 2021, section 3.2).

    A4-11: r N_i is rounded down. The remainder up to r N (rounded down) is assigned one by one to the largest classes.

    Args:
        real: N_i, real training patches of each class, int64 [classes].
        ratio: r, kept patches per real one.

    Raises:
        SelectionError: nothing would be kept.
    """
    exact = Fraction(str(ratio))
    kept = np.array([math.floor(exact * int(count)) for count in real], dtype=np.int64)
    total = math.floor(exact * int(real.sum()))
    if not total:
        raise SelectionError(
            f"ratio={ratio} keeps nothing of {int(real.sum())} real training patches: set it to at least "
            f"{1 / max(int(real.sum()), 1):.2g}."
        )
    largest = np.argsort(-real, kind="stable")
    kept[largest[: total - int(kept.sum())]] += 1
    return kept


def pool_counts(real: NDArray[np.int64], multiple: float) -> NDArray[np.int64]:
    """Return the number of candidates to draw per class: `multiple` per real patch, rounded up, int64 [classes].

    Algorithm 1 draws 4 r N_i; figure 12 draws 2 N_i to 8 N_i.
    """
    exact = Fraction(str(multiple))
    return np.array([math.ceil(exact * int(count)) for count in real], dtype=np.int64)


def first_step_count(pool: int, kept: int) -> int:
    """Return how many of a class's candidates pass the first of two steps that each keep the same share.

    A4-11: the share is q = sqrt(kept / pool) at each step. It is the half of Algorithm 1 where pool = 4 kept, and works
    for any other pool, such as those of figure 12.
    """
    return round(math.sqrt(kept * pool))


def balanced_counts(passed: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the largest numbers of candidates in the proportions of `kept` that enough candidates of each class pass.

    They are rounded down, but a class of which any candidate passes keeps at least one.

    Args:
        passed: candidates of each class that may be kept, at most `kept`, int64 [classes].
        kept: candidates of each class to keep if there are enough, int64 [classes].
    """
    share = min((Fraction(int(n), int(k)) for n, k in zip(passed, kept, strict=True) if k), default=Fraction(0))
    counts = [max(math.floor(share * int(k)), min(int(n), 1)) for n, k in zip(passed, kept, strict=True)]
    return np.array(counts, dtype=np.int64)


def check_pool(pool: NDArray[np.int64], kept: NDArray[np.int64], classes: list[str]) -> None:
    """Check that each class has at least as many candidates as are to be kept.

    Raises:
        SelectionError: a class has fewer; the message names it.
    """
    for name, available, needed in zip(classes, pool.tolist(), kept.tolist(), strict=True):
        if available < needed:
            raise SelectionError(
                f"The pool has {available} candidates of class '{name}', and {needed} are to be kept: raise "
                "pool_multiple above ratio, lower ratio, or give a larger pool."
            )
