"""Error rates of the answer: simulated studies with a known truth, judged by the product's own functions.

    python benchmarks/verdicts.py [--studies 1000]

Each study draws patients, generators and classifiers, and from them the probabilities that the classifiers give to test
patches. The statistics are those of `histoforge evaluate`: balanced accuracy, `metrics.crossed`, and Holm's correction
over the arms. The table shows the share of studies in which some arm is called better and the share of 95% intervals
that contain the true difference, and beside them the same for separate tests: a paired t-test over seeds, and a
percentile bootstrap over patients.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import statistic
from histoforge.metrics.compare import holm, paired_effect
from histoforge.metrics.crossed import CrossedEffect, Jackknife, crossed_difference
from histoforge.metrics.results import Effect

SCORE = "balanced_accuracy"


@dataclass(frozen=True)
class Study:
    """A design and its truth.

    Attributes:
        gains: shift of each synthetic arm's latent score; 0 is an arm that does not help.
        generators, seeds, patients, patches: their numbers; patches are those of one patient.
        generator_sd, seed_sd: how far generators and classifiers move the latent score of an arm.
    """

    gains: Sequence[float]
    generators: int
    seeds: int
    patients: int
    patches: int = 20
    generator_sd: float = 0.15
    seed_sd: float = 0.15


Probabilities = NDArray[np.float64]


def simulate(
    study: Study, rng: np.random.Generator
) -> tuple[list[list[Probabilities]], list[list[int | None]], NDArray, NDArray]:
    """Return the probabilities and generators of each arm's classifiers, the baseline first; labels; patients."""
    patients = np.repeat(np.arange(study.patients), study.patches)
    labels = rng.permuted(np.tile([0, 1], len(patients) // 2 + 1)[: len(patients)])
    difficulty = rng.normal(0, 0.6, (study.patients, 2))[patients, labels] + rng.normal(0, 0.8, len(patients))
    shared = rng.normal(0, study.generator_sd / 2**0.5, study.generators)
    arms, generators = [], []
    for gain in (None, *study.gains):
        effects = np.zeros(1) if gain is None else shared + rng.normal(0, study.generator_sd / 2**0.5, study.generators)
        runs = [
            (index, effect + rng.normal(0, study.seed_sd))
            for index, effect in enumerate(effects)
            for _ in range(study.seeds)
        ]
        of_arm = rng.normal(0, 0.15, (study.patients, 2))[patients, labels]
        probabilities = []
        for _, effect in runs:
            of_run = rng.normal(0, 0.2, (study.patients, 2))[patients, labels] + rng.normal(0, 0.6, len(patients))
            right = 1 / (1 + np.exp(-(0.6 + (gain or 0) + effect + difficulty + of_arm + of_run)))
            probabilities.append(
                np.stack([np.where(labels == 0, right, 1 - right), np.where(labels == 1, right, 1 - right)], 1)
            )
        arms.append(probabilities)
        generators.append([None if gain is None else index for index, _ in runs])
    return arms, generators, labels, patients


@dataclass(frozen=True)
class StudyResult:
    """The difference of each synthetic arm, and by analysis its interval and corrected p-value (1 if undefined)."""

    differences: list[float]
    crossed: list[tuple[float | None, float | None, float]]
    separate: list[tuple[float | None, float | None, float]]


def analyse(study: Study, rng: np.random.Generator) -> StudyResult:
    """Simulate one study and compare each arm with the baseline."""
    arms, generators, labels, patients = simulate(study, rng)
    statistics = [[statistic(SCORE, probabilities, labels) for probabilities in arm] for arm in arms]
    jackknife = Jackknife(patients)
    scored = [jackknife.score(of_arm, of_runs) for of_arm, of_runs in zip(statistics, generators, strict=True)]
    effects = [crossed_difference(arm, scored[0]) for arm in scored[1:]]
    bootstrap = PatientBootstrap(patients, n_resamples=500, seed=int(rng.integers(1 << 31)))
    resampled = [bootstrap.difference(mean_statistic(arm), mean_statistic(statistics[0])) for arm in statistics[1:]]
    seeds = scored[0].scores.tolist()
    paired = [paired_effect(arm.scores.tolist()[: len(seeds)], seeds) for arm in scored[1:]]
    separate = [max(p, q) for p, q in zip(_holm(resampled), _holm(paired), strict=True)]
    return StudyResult(
        [effect.difference or 0.0 for effect in effects],
        [(effect.low, effect.high, p) for effect, p in zip(effects, _holm(effects), strict=True)],
        [(effect.low, effect.high, p) for effect, p in zip(resampled, separate, strict=True)],
    )


def _holm(effects: Sequence[Effect | CrossedEffect]) -> list[float]:
    return [1.0 if p is None else p for p in holm([effect.p for effect in effects])]


def rates(study: Study, studies: int) -> list[str]:
    """Return the cells of a row: gain, then for both analyses the share called better and the coverage."""
    rng = np.random.default_rng(0)
    study_results = [analyse(study, rng) for _ in range(studies)]
    truths = np.mean([result.differences for result in study_results], axis=0)
    cells = [f"{100 * truths.max():+.1f}"]
    for name in ("crossed", "separate"):
        analyses = [getattr(result, name) for result in study_results]
        better = np.mean(
            [any(low is not None and low > 0 and p < 0.05 for low, _, p in analysis) for analysis in analyses]
        )
        intervals = [
            (*interval[:2], truth) for analysis in analyses for interval, truth in zip(analysis, truths, strict=True)
        ]
        covered = np.mean([low <= truth <= high for low, high, truth in intervals if low is not None])
        cells += [f"{better:.1%}", f"{covered:.1%}"]
    return cells


def designs() -> list[Study]:
    """Return the designs of the table: null studies, then studies in which one or all arms help."""
    nulls = [
        Study([0.0] * arms, generators, 3, patients)
        for patients in (5, 10, 20)
        for arms, generators in ((1, 3), (3, 2))
    ]
    return [
        *nulls,
        Study([0.0] * 3, 1, 5, 16, generator_sd=0),
        Study([0.55, 0.0, 0.0], 2, 5, 16),
        Study([0.55] * 3, 2, 5, 16),
        Study([0.55] * 3, 3, 5, 16),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    print("| arms | generators | seeds | patients | largest gain | better | coverage | separate: better | coverage |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for study in designs():
        design = [len(study.gains), study.generators, study.seeds, study.patients]
        print("| " + " | ".join([*map(str, design), *rates(study, studies)]) + " |", flush=True)


if __name__ == "__main__":
    main()
