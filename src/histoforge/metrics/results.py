"""Base classes of the package's results, which are frozen and safe to write as JSON."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]
# A statistic maps weights of patches [B, N] to scores [B], NaN where a score is undefined.
Statistic = Callable[[Floats], Floats]


class Result(BaseModel):
    """An immutable result with finite numbers only; a number that could not be computed is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Effect(Result):
    """The difference between two arms and its uncertainty.

    Attributes:
        difference: arm minus baseline, in the metric's own unit; None where it cannot be computed.
        low, high: bounds of the confidence interval.
        p: two-sided p-value.
        p_adjusted: p-value after Holm's correction over the arms compared; None if nothing was corrected.
        n: number of units that the interval is based on.
        unit: kind of these units, 'seeds' or 'patients'.
        confidence: coverage of the interval.
        note: why something is missing or needs caution; empty if there is nothing to report.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_adjusted: float | None = None
    n: int
    unit: Literal["seeds", "patients"]
    confidence: float = 0.95
    note: str = ""


def finite(value: float) -> float | None:
    """Return a Python float, or None where `value` is not finite."""
    return float(value) if math.isfinite(value) else None
