"""What every result of this room has in common: frozen, and safe to write as JSON."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Floats = NDArray[np.float64]
# Weights of patches [B, N] to scores [B], NaN where a score is undefined.
Statistic = Callable[[Floats], Floats]


class Result(BaseModel):
    """A result that cannot change once made and holds finite numbers only: what could not be computed is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Effect(Result):
    """How far one arm is from another, and how sure that is.

    Attributes:
        difference: arm minus baseline, in the metric's own unit; None where it cannot be computed.
        low, high: the confidence interval.
        p: two-sided p-value.
        p_adjusted: the same after Holm's correction over the arms compared; None where nothing was corrected.
        n: how many units the interval rests on.
        unit: what they are, 'seeds' or 'patients'.
        confidence: coverage of the interval.
        note: why something is missing or to be read with care; empty where there is nothing to say.
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
    """A Python float, or None where `value` is not finite."""
    return float(value) if math.isfinite(value) else None
