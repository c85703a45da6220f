"""The synthetic patches of an evaluation: the candidates, which of them were kept, and samples of them."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from histoforge.core.seeds import numpy_rng
from histoforge.patches import PatchSet

Rows = NDArray[np.int64]
UNSELECTED, SELECTED, REJECTED = "unselected", "selected", "rejected"
SHOWN_SCORES = ("entropy", "distance", "confidence")


class SyntheticSets:
    """The candidates, and a mask of those that were kept.

    Attributes:
        patches: the pool, or only the kept patches if there is no pool.
        kept: bool [N].
        is_pool: True if `patches` also contains rejected ones.
    """

    def __init__(self, patches: PatchSet, kept: NDArray[np.bool_], is_pool: bool) -> None:
        self.patches, self.kept, self.is_pool = patches, kept, is_pool

    @classmethod
    def of_pool(cls, pool: PatchSet) -> "SyntheticSets":
        """Take a pool, whose column 'kept' marks the selected candidates; without that column none are."""
        marked = "kept" in pool.index
        return cls(pool, pool.index["kept"].to_numpy(bool) if marked else np.zeros(len(pool), bool), True)

    @classmethod
    def of_selection(cls, selected: PatchSet) -> "SyntheticSets":
        """Take the selected patches alone."""
        return cls(selected, np.ones(len(selected), bool), False)

    def sample(self, count: int, seed: int) -> "SyntheticSets":
        """Return at most `count` of the patches, drawn by seed."""
        rows = draw_rows(len(self.patches), count, seed, "synthetic")
        return SyntheticSets(self.patches.where(rows), self.kept[rows], self.is_pool)

    @cached_property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """The selection's scores by name."""
        index = self.patches.index
        return {name: index[name].to_numpy(np.float64) for name in SHOWN_SCORES if name in index}

    def subsets(self, seed: int) -> dict[str, Rows]:
        """Return rows of unselected, selected and rejected candidates, in each class as many as were selected.

        FID is biased by the number of samples, and precision and recall depend on it, so only equal numbers are
        comparable.
        """
        if not self.kept.any() or self.kept.all():
            return {SELECTED if self.kept.any() else UNSELECTED: np.arange(len(self.kept))}
        rng = numpy_rng(seed, "equal numbers")
        subsets: dict[str, list[Rows]] = {UNSELECTED: [], SELECTED: [], REJECTED: []}
        for label in range(len(self.patches.classes)):
            in_class = self.patches.labels == label
            kept, rejected, candidates = (
                np.flatnonzero(mask) for mask in (in_class & self.kept, in_class & ~self.kept, in_class)
            )
            subsets[SELECTED].append(kept)
            subsets[UNSELECTED].append(np.sort(rng.permutation(candidates)[: len(kept)]))
            subsets[REJECTED].append(np.sort(rng.permutation(rejected)[: len(kept)]))
        return {name: np.concatenate(rows) for name, rows in subsets.items()}


def draw_rows(total: int, count: int, seed: int, purpose: str) -> Rows:
    """Return all rows, or `count` of them drawn by seed, in ascending order."""
    if total <= count:
        return np.arange(total)
    return np.sort(numpy_rng(seed, "rows", purpose).choice(total, count, replace=False))
