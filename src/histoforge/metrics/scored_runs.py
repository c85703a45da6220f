"""The scores of an arm's classifiers, with all patients and with each patient left out."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.results import Floats, Statistic

MAX_GROUPS = 200
WEIGHT_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class ScoredRuns:
    """The scores of an arm's classifiers with all patients, and with each patient left out.

    Attributes:
        scores: float64 [R].
        left_out: float64 [R, G], each without one group of patients: usually a single patient. All arms have the same
            groups in the same order.
        patients: number of patients.
        generators: the generator behind each run, [R]; None where there is none, so that each run is a replicate.
    """

    scores: Floats
    left_out: Floats
    patients: int
    generators: Sequence[Hashable | None]

    @property
    def several_generators(self) -> bool:
        """True if the runs have two or more generators, which are then the replicates."""
        return len(set(self.generators) - {None}) > 1

    @property
    def replicates(self) -> list[Hashable]:
        """The replicate to which each run belongs, [R]: its generator, or itself where there are not several.

        With a single generator the seeds are the replicates, and the result speaks of this generator only.
        """
        if not self.several_generators:
            return list(range(len(self.scores)))
        return [index if generator is None else generator for index, generator in enumerate(self.generators)]

    def replicate_means(self) -> dict[Hashable, float]:
        """Return the mean score of each replicate."""
        keys = self.replicates
        return {key: float(self.scores[[other == key for other in keys]].mean()) for key in dict.fromkeys(keys)}


class Jackknife:
    """Weights of patches that leave out one patient at a time, or one of `MAX_GROUPS` groups of many patients."""

    def __init__(self, patients: ArrayLike, seed: int = 0) -> None:
        """Take the patient of each patch, [N], and the seed of the grouping of more than `MAX_GROUPS` patients."""
        names, patient = np.unique(np.asarray(patients), return_inverse=True)
        self.patients, self._groups = len(names), min(len(names), MAX_GROUPS)
        group_of = np.arange(len(names))
        if len(names) > MAX_GROUPS:
            group_of = numpy_rng(seed, "jackknife").permutation(len(names)) % MAX_GROUPS
        self._group = group_of[patient]

    def score(self, statistics: Sequence[Statistic], generators: Sequence[Hashable | None] = ()) -> ScoredRuns:
        """Score each run with all patches, and without those of each group of patients.

        Args:
            statistics: one function of weights [B, N] per run; see `classification.statistic`.
            generators: the generator behind each run; empty if there is none.
        """
        blocks = np.array_split(np.arange(-1, self._groups), 1 + self._groups * len(self._group) // WEIGHT_ELEMENTS)
        weights = ((self._group[None, :] != block[:, None]).astype(np.float64) for block in blocks)
        scores = np.concatenate([[statistic(block) for statistic in statistics] for block in weights], axis=1)
        return ScoredRuns(scores[:, 0], scores[:, 1:], self.patients, generators or [None] * len(statistics))
