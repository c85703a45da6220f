"""Paired comparison of two arms over seeds, and corrections for several comparisons.

An arm and the baseline are paired by seed: the same seed gives both the same initial weights and the same order of
patches. Seeds show how far training alone moves a score, and patients show how far the choice of patients does
(`bootstrap.PatientBootstrap.difference`). An arm helps where both agree.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from histoforge.metrics.results import Effect

MIN_SEEDS = 3
"""Minimum number of seeds for a claim."""


def paired_effect(values: Sequence[float], baseline: Sequence[float], confidence: float = 0.95) -> Effect:
    """Return the mean difference of `values` from `baseline`, with the interval and p-value of the paired t-test.

    Args:
        values, baseline: one score per seed, in the same order of seeds.

    Raises:
        ValueError: the numbers of seeds differ, there are no seeds, or scores are not finite.
    """
    first, second = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"the arms have {first.shape} and {second.shape} scores: pair them by seed")
    if not np.isfinite([first, second]).all():
        raise ValueError("the scores hold values that are not finite")
    differences = first - second
    n, mean = len(differences), float(differences.mean())
    std = float(differences.std(ddof=1)) if n > 1 else 0.0
    if n < 2:
        return Effect(difference=mean, low=None, high=None, p=None, n=n, unit="seeds", note="one seed has no deviation")
    if std <= 1e-12 * max(1.0, abs(mean)):
        note = "the difference is the same at every seed"
        p = 1.0 if abs(mean) <= 1e-12 else None
        return Effect(difference=mean, low=mean, high=mean, p=p, n=n, unit="seeds", confidence=confidence, note=note)
    standard_error = std / n**0.5
    margin = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * standard_error
    return Effect(
        difference=mean,
        low=mean - margin,
        high=mean + margin,
        p=float(2 * stats.t.sf(abs(mean) / standard_error, n - 1)),
        n=n,
        unit="seeds",
        confidence=confidence,
    )


def sample_std(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    """Return the standard deviation with n - 1 in the divisor; None for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Apply Holm's step-down correction; None stays None and does not count."""
    ranked = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(ranked):
        highest = max(highest, min(1.0, p * (len(ranked) - rank)))
        adjusted[index] = highest
    return adjusted


def nested_holm(
    p_values: Sequence[float | None], harder: Sequence[float | None]
) -> tuple[list[float | None], list[float | None]]:
    """Apply Holm's correction to pairs of hypotheses of which rejecting the second implies rejecting the first.

    Each pair takes one place: at the level a, the first of a pair is rejected if its p-value is at most
    a / (number of pairs - number of pairs rejected in full). If both p-values of each pair are equal, this is Holm's
    method. The family-wise error rate is a, since of a pair only the first true hypothesis counts.

    Args:
        p_values: of the first hypothesis of each pair; None stays None and does not count.
        harder: of the second hypothesis of each pair, at least as large; None is never rejected.

    Returns:
        The corrected p-values of the first and of the second hypotheses.
    """
    counted_pairs = [index for index, p in enumerate(p_values) if p is not None]
    in_full = holm([1.0 if (p := harder[index]) is None else p for index in counted_pairs])
    levels = [0.0, *sorted(p for p in in_full if p is not None)]
    adjusted: list[float | None] = [None] * len(p_values)
    adjusted_harder: list[float | None] = [None] * len(p_values)
    for index, p_in_full in zip(counted_pairs, in_full, strict=True):
        p = p_values[index]
        if p is None or p_in_full is None:
            continue
        left = (min(1.0, p * (len(counted_pairs) - rejected)) for rejected in range(len(counted_pairs)))
        adjusted[index] = min(p_in_full, *(max(level, at) for level, at in zip(levels, left, strict=False)))
        adjusted_harder[index] = None if harder[index] is None else p_in_full
    return adjusted, adjusted_harder


def p_text(p: float) -> str:
    """Format a p-value: 'p = 0.03', or 'p < 0.001'."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
