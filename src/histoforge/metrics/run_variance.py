"""Variance of the mean score of an arm between its trainings.

A study has few generators: two of them estimate the variance between generators with one degree of freedom, and such
an estimate is often far too small by chance. Two things that a study knows besides keep it from that.

- The mean over n seeds of a generator varies at least by a fraction 1/n of the variance of its seeds, which many
  classifiers estimate. An estimate below that is raised to it, as an estimated component of variance below zero is set
  to zero (Searle, Casella and McCulloch 1992).
- The arms of a study are trained alike. The estimate for an arm is therefore the mean of its own and of the average
  over all arms: a moderated variance as in Smyth 2004, with a weight of one half in place of one that is estimated, for
  which a study has too few arms. Arms with synthetic patches share the variance between generators with those that
  have the same generators, and all arms share that between seeds.

References:
    Searle, Casella and McCulloch, "Variance components", 1992.
    Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray experiments",
    Statistical Applications in Genetics and Molecular Biology 3 (2004) article 3.
"""

from collections.abc import Sequence

import numpy as np

from histoforge.metrics.results import Floats
from histoforge.metrics.scored_runs import ScoredRuns

Part = tuple[float, float]
"""An independent part of a variance, and its degrees of freedom."""


def run_parts(arm: ScoredRuns, study: Sequence[ScoredRuns] = ()) -> list[Part]:
    """Return the variance of an arm's mean score that comes from training, in independent parts.

    Args:
        arm: at least two runs.
        study: arms that were trained alike, with or without `arm`; without any, only its own runs are used.
    """
    variance, df = _between_replicates(arm)
    other_arms = [other for other in study if other is not arm]
    if arm.several_generators:
        alike = [_between_replicates(other) for other in other_arms if shared_generators(arm, other)]
    else:
        alike = [(of_seeds / len(arm.scores), df) for of_seeds, df in map(between_seeds, other_arms) if df > 0]
    if not alike:
        return [(variance, df)]
    share = 0.5 / (1 + len(alike))
    return [
        ((0.5 + share) * variance, df),
        (share * sum(variance for variance, _ in alike), sum(df for _, df in alike)),
    ]


def paired_part(arm: ScoredRuns, reference: ScoredRuns) -> Part:
    """Return the variance from training of the difference between two arms that have the same generators.

    They are paired by generator, so that what the generators have in common cancels.
    """
    first, second = arm.replicate_means(), reference.replicate_means()
    least = _variance_from_seeds(arm) + _variance_from_seeds(reference)
    return _variance_of_mean(np.array([first[key] - second[key] for key in first]), least)


def shared_generators(arm: ScoredRuns, reference: ScoredRuns) -> bool:
    """Return whether two arms have the same generators, and several of them."""
    return arm.several_generators and set(arm.generators) == set(reference.generators)


def between_seeds(arm: ScoredRuns) -> Part:
    """Return the variance of the scores of classifiers that differ in their seeds alone; 0 and 0 if there are none."""
    groups = _by_generator(arm)
    df = sum(len(group) - 1 for group in groups)
    squares = sum(float(np.square(group - group.mean()).sum()) for group in groups)
    return (squares / df, df) if df else (0.0, 0)


def _between_replicates(arm: ScoredRuns) -> Part:
    """Return the variance of an arm's mean score from its replicates alone: its generators, or else its runs."""
    least = _variance_from_seeds(arm) if arm.several_generators else 0.0
    return _variance_of_mean(np.array(list(arm.replicate_means().values())), least)


def _variance_from_seeds(arm: ScoredRuns) -> float:
    """Return the variance of the mean over the replicates' means that the seeds alone explain."""
    groups = _by_generator(arm)
    return between_seeds(arm)[0] * sum(1 / len(group) for group in groups) / len(groups) ** 2


def _by_generator(arm: ScoredRuns) -> list[Floats]:
    names = dict.fromkeys(arm.generators)
    return [arm.scores[[other == name for other in arm.generators]] for name in names]


def _variance_of_mean(values: Floats, least: float) -> Part:
    return max(least, float(values.var(ddof=1) / len(values))), len(values) - 1
