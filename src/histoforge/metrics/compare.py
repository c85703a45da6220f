"""Paired comparisons of arms over seeds, and the sentence that a comparison supports.

An arm and the baseline are paired by seed: the same seed gives both the same initial weights and the same order of
patches. Seeds show how far training alone moves a score, and patients show how far the choice of patients does
(`bootstrap.PatientBootstrap.difference`). An arm helps where both agree.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.bootstrap import FEWEST_PATIENTS
from histoforge.metrics.results import Effect, Result, finite

FEWEST_SEEDS = 3
FEWEST_FOR_WILCOXON = 6
MOST_FOR_ALL_FLIPS = 16
RANDOM_FLIPS = 100_000


class Comparison(Result):
    """One arm against the baseline over seeds.

    Attributes:
        arm, baseline: their names.
        mean, deviation: mean and standard deviation of the arm over seeds (n - 1 in the divisor).
        baseline_mean, baseline_deviation: the same for the baseline.
        effect: the paired difference with its t interval and the p-value of the paired t-test.
        p_sign_flip: exact permutation test over the signs of the differences; its smallest value is 2 / 2^n, which is
            above 0.05 for fewer than six seeds.
        p_wilcoxon: signed-rank test, exact; None for fewer than six seeds, ties or zero differences.
    """

    arm: str
    baseline: str
    mean: float
    deviation: float | None
    baseline_mean: float
    baseline_deviation: float | None
    effect: Effect
    p_sign_flip: float | None
    p_wilcoxon: float | None


def compare_arms(values: Mapping[str, Sequence[float]], baseline: str, confidence: float = 0.95) -> list[Comparison]:
    """Compare each arm with the baseline; Holm's method corrects the p-values of the t-tests over the arms.

    Args:
        values: one score per seed for each arm, all in the same order of seeds.
        baseline: the arm to compare with.

    Raises:
        ValueError: an arm has a different number of seeds, no seeds, or scores that are not finite.
    """
    arms = [arm for arm in values if arm != baseline]
    found = [compare_paired(arm, values[arm], baseline, values[baseline], confidence) for arm in arms]
    adjusted = holm([comparison.effect.p for comparison in found])
    return [
        comparison.model_copy(update={"effect": comparison.effect.model_copy(update={"p_adjusted": p})})
        for comparison, p in zip(found, adjusted, strict=True)
    ]


def compare_paired(
    arm: str, values: Sequence[float], baseline: str, baseline_values: Sequence[float], confidence: float = 0.95
) -> Comparison:
    """Compare one arm with the baseline, both in the same order of seeds.

    Raises:
        ValueError: the numbers of seeds differ, there are no seeds, or scores are not finite.
    """
    first, second = np.asarray(values, np.float64), np.asarray(baseline_values, np.float64)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"{arm} and {baseline} have {first.shape} and {second.shape} scores: pair them by seed")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(f"scores of {arm} or {baseline} are not finite")
    differences = first - second
    return Comparison(
        arm=arm,
        baseline=baseline,
        mean=float(first.mean()),
        deviation=sample_std(first),
        baseline_mean=float(second.mean()),
        baseline_deviation=sample_std(second),
        effect=_t_effect(differences, confidence),
        p_sign_flip=sign_flip_p(differences),
        p_wilcoxon=_wilcoxon_p(differences),
    )


def sample_std(values: Sequence[float] | NDArray[np.float64]) -> float | None:
    """Return the standard deviation over seeds, with n - 1 in the divisor; None for a single seed."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def sign_flip_p(differences: NDArray[np.float64]) -> float | None:
    """Return the two-sided p-value of the mean under all sign flips; above 16 seeds, 100,000 random flips are used."""
    n = len(differences)
    if n < 2:
        return None
    if n <= MOST_FOR_ALL_FLIPS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n - 1)))
        flipped = differences[0] + signs @ differences[1:]
        extra = 0
    else:
        signs = numpy_rng(0, "sign flips").integers(0, 2, (RANDOM_FLIPS, n)) * 2.0 - 1.0
        flipped, extra = signs @ differences, 1
    least = abs(differences.sum()) * (1 - 1e-12) - 1e-15
    return float(((np.abs(flipped) >= least).sum() + extra) / (len(flipped) + extra))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Apply Holm's step-down correction; None stays None and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = highest
    return adjusted


def verdict(effect: Effect, higher_is_better: bool = True, scale: float = 100.0, unit: str = "points") -> str:
    """Describe an effect in words that claim no more than it shows.

    'better by 2.1 points (95% CI 0.4 to 3.8; p = 0.02; 10 seeds)', 'no difference found: …', or 'too few … to tell'.

    Args:
        higher_is_better: False for errors and distances.
        scale: factor on the difference; the default turns a share of 1 into percentage points.
        unit: the unit of the scaled difference.
    """
    fewest = FEWEST_SEEDS if effect.unit == "seeds" else FEWEST_PATIENTS
    if effect.difference is None:
        return f"cannot be compared ({effect.note or 'the score is undefined'})"
    seen = effect.difference * scale
    count = f"{effect.n} {effect.unit if effect.n != 1 else effect.unit.removesuffix('s')}"
    if effect.n < fewest:
        return f"too few {effect.unit} to tell ({count}, at least {fewest} are needed; seen: {seen:+.1f} {unit})"
    if effect.low is None or effect.high is None or effect.p is None:
        return f"no test possible: {seen:+.1f} {unit} ({effect.note}; {count})"
    low, high = effect.low * scale, effect.high * scale
    p, corrected = (effect.p, "") if effect.p_adjusted is None else (effect.p_adjusted, " after Holm's correction")
    level = f"{effect.confidence:.0%} CI {{:.1f}} to {{:.1f}}; {p_text(p)}{corrected}; {count}"
    if p >= 1 - effect.confidence or low <= 0 <= high:
        return f"no difference found: {seen:+.1f} {unit} ({level.format(low, high)})"
    if seen > 0:
        return f"{'better' if higher_is_better else 'worse'} by {seen:.1f} {unit} ({level.format(low, high)})"
    return f"{'worse' if higher_is_better else 'better'} by {-seen:.1f} {unit} ({level.format(-high, -low)})"


def p_text(p: float) -> str:
    """Format a p-value: 'p = 0.03', or 'p < 0.001'."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _t_effect(differences: NDArray[np.float64], confidence: float) -> Effect:
    """Return the mean difference with the interval and p-value of the paired t-test."""
    n, mean = len(differences), float(differences.mean())
    spread = float(differences.std(ddof=1)) if n > 1 else 0.0
    if n < 2:
        return Effect(difference=mean, low=None, high=None, p=None, n=n, unit="seeds", note="one seed has no deviation")
    if spread <= 1e-12 * max(1.0, abs(mean)):
        note = "the difference is the same at every seed"
        p = 1.0 if abs(mean) <= 1e-12 else None
        return Effect(difference=mean, low=mean, high=mean, p=p, n=n, unit="seeds", confidence=confidence, note=note)
    error = spread / n**0.5
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    return Effect(
        difference=mean,
        low=mean - reach,
        high=mean + reach,
        p=float(2 * stats.t.sf(abs(mean) / error, n - 1)),
        n=n,
        unit="seeds",
        confidence=confidence,
    )


def _wilcoxon_p(differences: NDArray[np.float64]) -> float | None:
    sizes = np.abs(differences)
    if len(sizes) < FEWEST_FOR_WILCOXON or not sizes.all() or len(np.unique(sizes)) < len(sizes):
        return None
    return finite(stats.wilcoxon(differences, method="exact").pvalue)
