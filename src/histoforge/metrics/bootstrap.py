"""Percentile bootstrap over patients: each draw takes a patient with all of its patches (a cluster bootstrap).

Patches of one patient resemble each other, so drawing single patches would make every interval too narrow.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.results import Effect, Floats, Result, Statistic, finite

MIN_PATIENTS = 5
"""Minimum number of patients for an interval: with fewer, intervals cover the truth much less often than they claim."""
MIN_DEFINED = 0.5
"""Minimum share of resamples in which a score must be defined."""
WEIGHT_ELEMENTS = 1 << 23


class Interval(Result):
    """A score and its confidence interval.

    Attributes:
        value: the score of all patches; None where it is undefined.
        low, high: percentiles of the resamples; None where they are not meaningful, with the reason in `note`.
        patients: number of patients that the resamples are drawn from.
        resamples: number of resamples drawn.
        undefined: number of resamples left out because the score is undefined there (a class was not drawn).
    """

    value: float | None
    low: float | None
    high: float | None
    confidence: float
    patients: int
    resamples: int
    undefined: int
    note: str = ""


class PatientBootstrap:
    """Resamples of patients, drawn once and used for every score and every arm.

    A statistic is a function that maps weights, float64 [B, N] (how often each patch was drawn), to scores [B], NaN
    where they are undefined. `classification.statistic` builds such functions.
    """

    def __init__(self, patients: ArrayLike, n_resamples: int = 2000, seed: int = 0, confidence: float = 0.95) -> None:
        """Take the patient of each patch, [N]."""
        names, self._patient = np.unique(np.asarray(patients), return_inverse=True)
        self.n_patients, self.n_resamples, self.seed, self.confidence = len(names), n_resamples, seed, confidence

    @cached_property
    def _draws(self) -> NDArray[np.int64]:
        """Return how often each patient was drawn in each resample, [R, P]."""
        probabilities = np.full(self.n_patients, 1 / self.n_patients)
        return numpy_rng(self.seed, "bootstrap").multinomial(self.n_patients, probabilities, size=self.n_resamples)

    def values(self, statistic: Statistic) -> Floats:
        """Return the statistic of each resample, [R]. Every call uses the same resamples in the same order."""
        step = max(1, WEIGHT_ELEMENTS // len(self._patient))
        blocks = (self._draws[start : start + step] for start in range(0, self.n_resamples, step))
        return np.concatenate([statistic(block[:, self._patient].astype(np.float64)) for block in blocks])

    def interval(self, statistic: Statistic) -> Interval:
        """Return the score with its percentile interval."""
        values = self.values(statistic)
        low, high, note = self._percentiles(values)
        return Interval(
            value=finite(self._observed(statistic)),
            low=low,
            high=high,
            confidence=self.confidence,
            patients=self.n_patients,
            resamples=self.n_resamples,
            undefined=int(np.isnan(values).sum()),
            note=note,
        )

    def difference(self, arm: Statistic, baseline: Statistic) -> Effect:
        """Return the difference of arm minus baseline, both scored on the same resamples.

        The two-sided p-value is twice the smaller share of resamples on either side of zero. One resample is added to
        each count, so the p-value is never 0.
        """
        values = self.values(arm) - self.values(baseline)
        low, high, note = self._percentiles(values)
        kept = values[~np.isnan(values)]
        tail = min((kept <= 0).sum(), (kept >= 0).sum())
        return Effect(
            difference=finite(self._observed(arm) - self._observed(baseline)),
            low=low,
            high=high,
            p=None if low is None else min(1.0, 2 * (int(tail) + 1) / (len(kept) + 1)),
            n=self.n_patients,
            unit="patients",
            confidence=self.confidence,
            note=note,
        )

    def _observed(self, statistic: Statistic) -> float:
        return float(statistic(np.ones((1, len(self._patient))))[0])

    def _percentiles(self, values: Floats) -> tuple[float | None, float | None, str]:
        kept = values[~np.isnan(values)]
        if self.n_patients < MIN_PATIENTS:
            return None, None, too_few_patients(self.n_patients)
        if len(kept) < MIN_DEFINED * len(values):
            return None, None, "most resamples of patients lack a class, so there is no interval"
        low, high = np.quantile(kept, [(1 - self.confidence) / 2, (1 + self.confidence) / 2])
        left_out = len(values) - len(kept)
        return float(low), float(high), f"{left_out} resamples that lack a class are left out" if left_out else ""


def too_few_patients(count: int) -> str:
    """Return the reason why so few patients give no interval."""
    return f"{'1 patient is' if count == 1 else f'{count} patients are'} too few for an interval"


def mean_statistic(statistics: Sequence[Statistic]) -> Statistic:
    """Return the mean of several statistics, such as one score over the seeds of an arm."""
    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)
