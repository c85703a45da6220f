"""The score of one arm over test patients and training runs at once, with its interval, and a test of its sign.

The variance of the mean score has the same parts as that of a difference in `metrics.crossed`: training runs, and the
covariance of different runs over patients. A score minus that of a classifier that always gives the same answer tells
whether an arm learned anything.
"""

from scipy import stats

from histoforge.metrics.bootstrap import MIN_PATIENTS, too_few_patients
from histoforge.metrics.crossed import (
    ALONE_IN_A_CLASS,
    NO_VARIANCE,
    ONE_RUN,
    pooled_error,
    shared_part,
)
from histoforge.metrics.results import Result, finite
from histoforge.metrics.run_variance import Part, run_parts
from histoforge.metrics.scored_runs import ScoredRuns

LEARNING_LEVEL = 0.05
"""Level of the one-sided test of whether classifiers learned."""


class CrossedMean(Result):
    """A mean over an arm's classifiers, over patients and training runs together.

    Attributes:
        value: the mean; None where it is undefined.
        low, high: bounds of the confidence interval; None where it cannot be estimated, for the reason in `note`.
        p_above: one-sided p-value of a mean above 0; meant for differences from a fixed classifier.
        patients, runs: numbers of test patients and of classifiers.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p_above: float | None = None
    confidence: float = 0.95
    patients: int
    runs: int
    note: str = ""


def crossed_mean(runs: ScoredRuns, confidence: float = 0.95) -> CrossedMean:
    """Return the mean score of an arm's runs with its interval.

    A single classifier has an interval over patients alone, which `note` says. If all runs and patients agree exactly,
    there is no interval, and `p_above` is that of a sign test over patients.
    """
    value = float(runs.scores.mean())
    size = {"patients": runs.patients, "runs": len(runs.scores), "confidence": confidence}
    if (note := _missing(runs)) or finite(value) is None:
        return CrossedMean(value=finite(value), note=note, **size)
    parts: list[Part] = [(shared_part(runs), runs.left_out.shape[1] - 1)]
    if len(runs.scores) > 1:
        parts += run_parts(runs)
    error, df = pooled_error(parts)
    if error <= 1e-12:
        p_above = 0.5**runs.patients if value > 1e-12 else 1.0
        return CrossedMean(value=value, p_above=p_above, note=NO_VARIANCE, **size)
    reach = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    return CrossedMean(
        value=value,
        low=value - reach,
        high=value + reach,
        p_above=float(stats.t.sf(value / error, df)),
        note="" if len(runs.scores) > 1 else ONE_RUN,
        **size,
    )


def excess(runs: ScoredRuns, constant: ScoredRuns) -> ScoredRuns:
    """Return the scores of an arm's runs minus those of one classifier that always gives the same answer.

    Each classifier is a replicate, whatever its generator: the question is whether these classifiers learned.
    """
    return ScoredRuns(
        runs.scores - constant.scores, runs.left_out - constant.left_out, runs.patients, [None] * len(runs.scores)
    )


def has_learned(above: CrossedMean | None) -> bool | None:
    """Return whether a score is above that of a constant answer; None if that cannot be tested."""
    return None if above is None or above.p_above is None else above.p_above < LEARNING_LEVEL


def _missing(runs: ScoredRuns) -> str:
    """Return why there is no interval, or ''."""
    if runs.patients < MIN_PATIENTS:
        return too_few_patients(runs.patients)
    if finite(float(runs.scores.sum())) is None:
        return "the score is undefined"
    return ALONE_IN_A_CLASS if finite(float(runs.left_out.sum())) is None else ""
