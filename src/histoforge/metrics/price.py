"""The price of synthetic patches: how many added real patches would have helped as much.

Classifiers trained with several numbers of added real patches give a curve of the score against that number, linear
between the numbers that were tried; without any it is the reference arm's. The price of another arm is the number at
which the curve reaches the arm's score. Its interval inverts a test (Fieller 1954): it contains each number at which
the arm and the curve are not significantly different, over patients and training runs together as in `crossed`. It
therefore holds as well where the curve is flat or rises by less than its noise; then it is the whole range.

References:
    Cochran and Cox, "Experimental designs", 2nd edition, 1957.
    Fieller, "Some problems in interval estimation", Journal of the Royal Statistical Society B 16 (1954) 175-185.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from histoforge.metrics.crossed import CrossedParts, crossed_parts
from histoforge.metrics.results import Floats, Result
from histoforge.metrics.scored_runs import ScoredRuns

STEPS = 200
"""Number of equal steps of the numbers of patches at which the arm is compared with the curve."""


class Price(Result):
    """The number of added real patches that an arm's added patches were worth.

    Attributes:
        worth: number of real patches, 0 to `largest`; None where it cannot be computed.
        low, high: bounds of the confidence interval, 0 to `largest`.
        exceeded: True if the arm's score is above that of the `largest` number of real patches.
        open_ended: True if the interval reaches `largest`: the patches may be worth more.
        largest: largest number of added real patches that was tried.
        doses: all numbers that were tried.
        note: why there is no price.
    """

    worth: float | None
    low: float | None = None
    high: float | None = None
    exceeded: bool = False
    open_ended: bool = False
    largest: int
    doses: list[int]
    confidence: float = 0.95
    note: str = ""


def price(
    arm: ScoredRuns, reference: ScoredRuns, controls: Mapping[int, ScoredRuns], confidence: float = 0.95
) -> Price:
    """Return how many added real patches the arm's added patches were worth.

    Args:
        arm: the runs of the arm to price.
        reference: the runs without any added patch.
        controls: the runs with added real patches, by their number, above 0.
        confidence: coverage of the interval.
    """
    doses = sorted(controls)
    size = {"largest": doses[-1], "doses": doses, "confidence": confidence}
    parts = crossed_parts([arm, reference, *(controls[dose] for dose in doses)])
    if parts.note:
        return Price(worth=None, note=parts.note, **size)
    numbers = np.unique(np.concatenate([np.linspace(0, doses[-1], STEPS + 1), doses]))
    weights = np.stack([_contrast(number, [0, *doses]) for number in numbers])
    above, accepted = _compare(parts, weights, confidence)
    reached = np.flatnonzero(above <= 0)
    worth = float(numbers[reached[0]]) if len(reached) else float(doses[-1])
    worth = _crossing(numbers, above, int(reached[0])) if len(reached) and reached[0] else worth
    inside = numbers[accepted] if accepted.any() else np.array([worth])
    return Price(
        worth=worth,
        low=float(min(inside[0], worth)),
        high=float(max(inside[-1], worth)),
        exceeded=not len(reached),
        open_ended=bool(inside[-1] >= doses[-1]),
        **size,
    )


def _contrast(number: float, doses: Sequence[int]) -> Floats:
    """Return the weights of arm, reference and controls in the arm's score minus the curve's at a number of patches."""
    return np.concatenate([[1.0], [-np.interp(number, doses, row) for row in np.eye(len(doses))]])


def _compare(parts: CrossedParts, weights: Floats, confidence: float) -> tuple[Floats, np.ndarray]:
    """Return by how much the arm is above the curve at each number, and whether that is no significant difference."""
    above = weights @ parts.means
    runs = weights**2 * parts.run_variances
    patients = np.maximum(0.0, ((weights @ parts.patients) * weights).sum(1, keepdims=True))
    variances = np.concatenate([runs, patients], axis=1)
    df = np.append(parts.run_df, parts.patient_df)
    return above, np.abs(above) <= _quantiles(variances, df, confidence) * np.sqrt(variances.sum(1))


def _quantiles(variances: Floats, df: Floats, confidence: float) -> Floats:
    """Return the quantile of t for sums of variances [N, K] with the degrees of freedom [K].

    Satterthwaite's approximation is too narrow where a variance comes from two generators and so has one degree of
    freedom. Cochran and Cox's, the mean of the parts' quantiles weighted by their variances, is conservative.
    """
    total, level = np.maximum(variances.sum(1), 1e-300), (1 + confidence) / 2
    if df.min() < 2:
        return variances @ stats.t.ppf(level, df) / total
    return stats.t.ppf(level, np.maximum(total**2 / np.maximum((variances**2 / df).sum(1), 1e-300), 1.0))


def _crossing(numbers: Floats, above: Floats, first: int) -> float:
    """Return where the curve reaches the arm's score, between a number and the one before it."""
    before, after = above[first - 1], above[first]
    return float(numbers[first - 1] + (numbers[first] - numbers[first - 1]) * before / (before - after))
