"""Compare two arms over test patients, generators and classifier seeds at once, with one interval and one p-value.

A study's score varies for two crossed reasons: other patients would have been tested, and other networks would have
been trained. Diagnostic imaging knows the same problem as multi-reader multi-case analysis. Training runs take the
place of the readers, and patients that of the cases:

    Var(difference) = runs of the arm + runs of the reference + patients

The covariance of two runs' scores over patients is estimated by the jackknife (Obuchowski and Rockette 1995). Only
pairs of different runs enter the patients' part, as the noise between runs and patients is already in the runs' parts,
which come from the observed variance of the runs. The degrees of freedom follow Satterthwaite, as in Hillis 2007, and
count the patients as well, since few patients estimate their part poorly.

Classifiers trained on the patches of one generator are no replicates of each other for a statement about generators:
the run of an arm with synthetic patches is the generator, whose score is the mean over its classifiers' seeds. As a
study has few generators, `run_variance` steadies the estimates of the runs' parts with those of other arms.

References:
    Obuchowski and Rockette, "Hypothesis testing of diagnostic accuracy for multiple readers and multiple tests",
    Communications in Statistics 24 (1995) 285-308.
    Hillis, "A comparison of denominator degrees of freedom methods for multiple observer ROC analysis", Statistics in
    Medicine 26 (2007) 596-619.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from histoforge.metrics.bootstrap import MIN_PATIENTS, too_few_patients
from histoforge.metrics.results import Floats, Result, finite
from histoforge.metrics.run_variance import Part, paired_part, run_parts, shared_generators
from histoforge.metrics.scored_runs import ScoredRuns

POWER = 0.8
ONE_RUN = "one training run does not show how much training alone moves the score"
NO_VARIANCE = "all runs and patients agree exactly"
ALONE_IN_A_CLASS = "the score is undefined without one of the patients, who alone has patches of a class"


class CrossedEffect(Result):
    """The difference between two arms, over patients and training runs together.

    Attributes:
        difference: arm minus reference, means over their runs; None where a score is undefined.
        low, high: bounds of the confidence interval; None where it cannot be estimated, for the reason in `note`.
        p: two-sided p-value.
        p_adjusted: after a correction for several comparisons; None if there was none.
        std_error: standard error of the difference.
        df: Satterthwaite's degrees of freedom.
        share_of_patients: part of the variance that comes from the choice of patients, 0 to 1.
        detectable: smallest true difference that such a study finds with a power of 80%.
        better: probability of a difference above zero, from the t distribution around the observed one.
        patients: number of test patients.
        generators: number of generators behind the arm's synthetic patches; 0 without synthetic patches.
        runs, reference_runs: number of classifiers of the arm and of the reference.
    """

    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    std_error: float | None = None
    df: float | None = None
    share_of_patients: float | None = None
    detectable: float | None = None
    better: float | None = None
    confidence: float = 0.95
    patients: int
    generators: int
    runs: int
    reference_runs: int
    note: str = ""


def crossed_difference(
    arm: ScoredRuns, reference: ScoredRuns, confidence: float = 0.95, study: Sequence[ScoredRuns] = ()
) -> CrossedEffect:
    """Compare two arms that were tested on the same patients.

    Args:
        arm, reference: the two arms.
        confidence: coverage of the interval.
        study: arms that were trained like them, which help to estimate the variance from training.
    """
    size = {
        "patients": arm.patients,
        "generators": len({generator for generator in arm.generators if generator is not None}),
        "runs": len(arm.scores),
        "reference_runs": len(reference.scores),
        "confidence": confidence,
    }
    difference = float(arm.scores.mean() - reference.scores.mean())
    note = _missing(arm, reference)
    if note:
        return CrossedEffect(difference=finite(difference), note=note, **size)
    if shared_generators(arm, reference):
        runs = [paired_part(arm, reference)]
    else:
        runs = run_parts(arm, study) + run_parts(reference, study)
    parts = [*runs, (_patient_part(arm, reference), arm.left_out.shape[1] - 1)]
    return _effect(difference, parts, size)


def fixed_difference(arm: ScoredRuns, reference: ScoredRuns, confidence: float = 0.95) -> CrossedEffect:
    """Compare the mean scores of two arms' classifiers as they are, over patients alone.

    For single classifiers, which do not show how much training moves the score. The result holds for these very
    classifiers: others from the same settings may differ.
    """
    size = {
        "patients": arm.patients,
        "generators": 0,
        "runs": len(arm.scores),
        "reference_runs": len(reference.scores),
        "confidence": confidence,
    }
    difference = float(arm.scores.mean() - reference.scores.mean())
    note = _missing(arm, reference)
    if note and note != ONE_RUN:
        return CrossedEffect(difference=finite(difference), note=note, **size)
    left_out = arm.left_out.mean(0) - reference.left_out.mean(0)
    if not np.isfinite(left_out).all():
        return CrossedEffect(difference=finite(difference), note=ALONE_IN_A_CLASS, **size)
    count = len(left_out)
    variance = (count - 1) / count * float(np.square(left_out - left_out.mean()).sum())
    return _effect(difference, [(variance, count - 1)], size)


def _effect(difference: float, parts: Sequence[Part], size: dict[str, Any]) -> CrossedEffect:
    """Return a difference with its interval and test, given the parts of its variance, that of patients last."""
    error, df = pooled_error(parts)
    if error <= 1e-12:
        return CrossedEffect(difference=difference, note=NO_VARIANCE, **size)
    confidence = size["confidence"]
    reach = float(stats.t.ppf((1 + confidence) / 2, df))
    return CrossedEffect(
        difference=difference,
        low=difference - reach * error,
        high=difference + reach * error,
        p=float(2 * stats.t.sf(abs(difference) / error, df)),
        std_error=error,
        df=float(df),
        share_of_patients=parts[-1][0] / error**2,
        detectable=detectable_difference(error, df, confidence),
        better=float(stats.t.cdf(difference / error, df)),
        **size,
    )


@dataclass(frozen=True)
class CrossedParts:
    """The means of several arms without common generators, and what the variance of any contrast of them consists of.

    For weights w, the variance of w @ means is w**2 @ run_variances + w @ patients @ w.

    Attributes:
        means: mean score of each arm, float64 [K].
        run_variances, run_df: variance of each mean that comes from training, and its degrees of freedom, [K].
        patients: covariance of the means over the choice of patients, float64 [K, K].
        patient_df: its degrees of freedom.
        note: why the variances cannot be estimated, or ''; they are zero then.
    """

    means: Floats
    run_variances: Floats
    run_df: Floats
    patients: Floats
    patient_df: int
    note: str = ""


def crossed_parts(arms: Sequence[ScoredRuns]) -> CrossedParts:
    """Return the parts of the variance of any contrast of arms that were tested on the same patients."""
    means = np.array([arm.scores.mean() for arm in arms])
    note = next(filter(None, (_missing(arm, arms[0]) for arm in arms)), "")
    if note:
        zeros = np.zeros(len(arms))
        return CrossedParts(means, zeros, zeros, np.zeros((len(arms), len(arms))), 0, note)
    variances, counts = zip(*(run_parts(arm)[0] for arm in arms), strict=True)
    patients = np.array([[_shared_variance(first, second) for second in arms] for first in arms])
    df = arms[0].left_out.shape[1] - 1
    return CrossedParts(means, np.array(variances), np.array(counts, float), patients, df)


def _shared_variance(first: ScoredRuns, second: ScoredRuns) -> float:
    """Return the covariance of two arms' means over patients, from pairs of different runs; a variance if they are one.

    The jackknife's covariance of two different runs has no part from the noise between a run and a patient.
    """
    count = first.left_out.shape[1]
    a, b = (arm.left_out - arm.left_out.mean(1, keepdims=True) for arm in (first, second))
    covariance = (count - 1) / count * a @ b.T
    pairs = _different(first.replicates, first.replicates) if first is second else np.ones(covariance.shape, bool)
    return float(covariance[pairs].mean() if pairs.any() else covariance.mean())


def detectable_difference(std_error: float, df: float, confidence: float = 0.95, comparisons: int = 1) -> float:
    """Return the smallest true difference that is found with a power of 80%, given its standard error.

    Args:
        std_error, df: of the difference.
        confidence: 1 minus the level of the two-sided test.
        comparisons: number of comparisons between which the level is divided (Bonferroni, the first step of Holm).
    """
    level = (1 - confidence) / comparisons
    return (float(stats.t.ppf(1 - level / 2, df)) + float(stats.t.ppf(POWER, df))) * std_error


def pooled_error(parts: Sequence[Part]) -> tuple[float, float]:
    """Return the standard error of a sum of variances and Satterthwaite's degrees of freedom, given each part's."""
    variance = sum(part for part, _ in parts)
    if variance <= 1e-24:
        return 0.0, 1.0
    return variance**0.5, variance**2 / sum(part**2 / count for part, count in parts)


def shared_part(runs: ScoredRuns) -> float:
    """Return the variance of an arm's mean score that comes from the choice of patients; at least 0.

    It is the covariance of different replicates, or the variance of the only run, which includes that run's noise.
    """
    return max(0.0, _shared_variance(runs, runs))


def _missing(arm: ScoredRuns, reference: ScoredRuns) -> str:
    """Return why there is no interval, or ''."""
    if not (np.isfinite(arm.scores).all() and np.isfinite(reference.scores).all()):
        return "the score is undefined"
    if arm.patients < MIN_PATIENTS:
        return too_few_patients(arm.patients)
    if min(len(arm.scores), len(reference.scores)) < 2:
        return ONE_RUN
    if not (np.isfinite(arm.left_out).all() and np.isfinite(reference.left_out).all()):
        return ALONE_IN_A_CLASS
    return ""


def _patient_part(arm: ScoredRuns, reference: ScoredRuns) -> float:
    """Return the variance that comes from the choice of patients: Cov2 of both arms minus twice Cov3; at least 0."""
    count = arm.left_out.shape[1]
    left_out = np.concatenate([arm.left_out, reference.left_out])
    centred = left_out - left_out.mean(1, keepdims=True)
    covariance = (count - 1) / count * centred @ centred.T
    split = len(arm.scores)
    across = np.ones((split, len(reference.scores)), bool)
    if shared_generators(arm, reference):
        across = _different(arm.generators, reference.generators)
    return max(
        0.0,
        float(covariance[:split, :split][_different(arm.replicates, arm.replicates)].mean())
        + float(covariance[split:, split:][_different(reference.replicates, reference.replicates)].mean())
        - 2 * float(covariance[:split, split:][across].mean()),
    )


def _different(first: Sequence[Hashable | None], second: Sequence[Hashable | None]) -> NDArray[np.bool_]:
    return np.array([[a != b for b in second] for a in first])
