"""Error rates of the answer: simulated studies with a known truth, judged by the product's own functions.

    python benchmarks/verdicts.py [--studies 1000]

Each study draws patients, generators and classifiers, and from them the probabilities that the classifiers give to test
patches. The statistics are those of `histoforge evaluate`: balanced accuracy, `metrics.crossed`, the test of whether an
arm learned, and the comparisons of `evaluation.comparisons` with their correction. The table shows the share of studies
in which some synthetic arm is called better, and the share of 95% intervals that contain the truth. A second table
compares ways of comparing: separate tests (a paired t-test over seeds and a percentile bootstrap over patients), the
analysis of each arm alone, the product's own, which takes the variance from training from all arms of a study, and the
ideal test, which knows the variance.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from histoforge.evaluation.comparisons import Compared, Planned, compare
from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import statistic
from histoforge.metrics.compare import holm, paired_effect
from histoforge.metrics.crossed import CrossedEffect, crossed_difference
from histoforge.metrics.crossed_mean import crossed_mean, excess, has_learned
from histoforge.metrics.results import Effect, Statistic
from histoforge.metrics.scored_runs import Jackknife, ScoredRuns

SCORE = "balanced_accuracy"
DESIGN = ("synthetic arms", "others", "generators", "seeds", "patients", "largest gain")
COLUMNS = ("better", "over baseline", "coverage", "scores", "learned")
WAYS = ("separate tests", "each arm alone", "with the other arms")
"""Ways of comparing an arm with the baseline; the product uses the last one."""
SEPARATE_STUDIES = 200
"""Number of studies of a design in which the separate tests are tried as well; they take most of the time."""


@dataclass(frozen=True)
class Study:
    """A design and its truth.

    Attributes:
        gains: shift of each synthetic arm's latent score; 0 is an arm that does not help.
        generators, seeds, patients, patches: their numbers; patches are those of one patient.
        others: shift of each further arm without synthetic patches, beside the baseline.
        skill: mean latent score of the baseline; 0 is a classifier that learned nothing.
        generator_sd, seed_sd: how far generators and classifiers move the latent score of an arm.
    """

    gains: Sequence[float]
    generators: int
    seeds: int
    patients: int
    others: Sequence[float] = ()
    skill: float = 0.6
    patches: int = 20
    generator_sd: float = 0.15
    seed_sd: float = 0.15


Probabilities = NDArray[np.float64]


def simulate(
    study: Study, rng: np.random.Generator
) -> tuple[list[list[Probabilities]], list[list[int | None]], NDArray, NDArray]:
    """Return the probabilities and generators of each arm's classifiers, labels, and patients.

    The baseline comes first, then the other arms without synthetic patches, then those with them.
    """
    patients = np.repeat(np.arange(study.patients), study.patches)
    labels = rng.permuted(np.tile([0, 1], len(patients) // 2 + 1)[: len(patients)])
    difficulty = rng.normal(0, 0.6, (study.patients, 2))[patients, labels] + rng.normal(0, 0.8, len(patients))
    shared = rng.normal(0, study.generator_sd / 2**0.5, study.generators)
    arms, generators = [], []
    without = 1 + len(study.others)
    for index, gain in enumerate((0.0, *study.others, *study.gains)):
        effects = np.zeros(1)
        if index >= without:
            effects = shared + rng.normal(0, study.generator_sd / 2**0.5, study.generators)
        runs = [
            (generator, effect + rng.normal(0, study.seed_sd))
            for generator, effect in enumerate(effects)
            for _ in range(study.seeds)
        ]
        of_arm = rng.normal(0, 0.15, (study.patients, 2))[patients, labels]
        probabilities = []
        for _, effect in runs:
            of_run = rng.normal(0, 0.2, (study.patients, 2))[patients, labels] + rng.normal(0, 0.6, len(patients))
            right = 1 / (1 + np.exp(-(study.skill + gain + effect + difficulty + of_arm + of_run)))
            probabilities.append(
                np.stack([np.where(labels == 0, right, 1 - right), np.where(labels == 1, right, 1 - right)], 1)
            )
        arms.append(probabilities)
        generators.append([generator if index >= without else None for generator, _ in runs])
    return arms, generators, labels, patients


Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Verdict:
    """Outcome of one way of comparing: whether some synthetic arm beats the baseline, and the intervals of all."""

    beats_baseline: bool
    intervals: list[Interval]


@dataclass(frozen=True)
class StudyResult:
    """Outcome of one study.

    Attributes:
        differences: of each synthetic arm from the baseline.
        scores: of each arm, with their intervals in `score_intervals`.
        learned: whether each arm passed the test of learning.
        better: whether some synthetic arm is called better than all arms without synthetic patches.
        verdicts: on the comparison with the baseline, by `WAYS`.
    """

    differences: list[float]
    scores: list[float]
    score_intervals: list[Interval]
    learned: list[bool]
    better: bool
    verdicts: dict[str, Verdict]


def analyse(study: Study, rng: np.random.Generator, separately: bool) -> StudyResult:
    """Simulate one study and compare each arm with the baseline, and synthetic arms with all others."""
    arms, generators, labels, patients = simulate(study, rng)
    statistics = [[statistic(SCORE, probabilities, labels) for probabilities in arm] for arm in arms]
    jackknife = Jackknife(patients)
    scored = [jackknife.score(of_arm, of_runs) for of_arm, of_runs in zip(statistics, generators, strict=True)]
    constant = jackknife.score([statistic(SCORE, np.tile([1.0, 0.0], (len(labels), 1)), labels)])
    learned = [bool(has_learned(crossed_mean(excess(arm, constant)))) for arm in scored]
    scores = [crossed_mean(arm) for arm in scored]
    without = 1 + len(study.others)
    compared = _compare(scored, without)
    claims = [learned[0] and each for each in learned[without:]]
    effects = [each.effect for each in compared]
    hardest = [each.effect if each.against_all is None else each.against_all.effect for each in compared]
    verdicts = {
        "each arm alone": _verdict(_compare_alone(scored, without), claims),
        "with the other arms": _verdict(effects, claims),
    }
    if separately:
        verdicts["separate tests"] = _separate(statistics, scored, without, patients, int(rng.integers(1 << 31)))
    return StudyResult(
        differences=[effect.difference or 0.0 for effect in effects],
        scores=[score.value or 0.0 for score in scores],
        score_intervals=[(score.low, score.high) for score in scores],
        learned=learned,
        better=any(
            claim and _better(first) and _better(second)
            for claim, first, second in zip(claims, effects, hardest, strict=True)
        ),
        verdicts=verdicts,
    )


def _compare(scored: Sequence[ScoredRuns], without: int) -> list[Compared]:
    """Return the comparisons of the synthetic arms, after the first `without` arms, as the report makes them."""
    names = [str(index) for index in range(len(scored))]
    plan = [Planned(name, "0") for name in names[1:without]]
    plan += [Planned(name, "0", tuple(names[:without])) for name in names[without:]]
    return compare(dict(zip(names, scored, strict=True)), plan, SCORE)[without - 1 :]


def _compare_alone(scored: Sequence[ScoredRuns], without: int) -> list[CrossedEffect]:
    """Return the differences of the synthetic arms from the baseline, each from the runs of these two arms alone."""
    effects = [crossed_difference(arm, scored[0]) for arm in scored[without:]]
    corrected = zip(effects, holm([effect.p for effect in effects]), strict=True)
    return [effect.model_copy(update={"p_adjusted": p}) for effect, p in corrected]


def _better(effect: CrossedEffect) -> bool:
    p = effect.p_adjusted
    return p is not None and p < 0.05 and (effect.difference or 0.0) > 0


def _verdict(effects: Sequence[CrossedEffect], claims: Sequence[bool]) -> Verdict:
    beats_baseline = any(claim and _better(effect) for claim, effect in zip(claims, effects, strict=True))
    return Verdict(beats_baseline, [(effect.low, effect.high) for effect in effects])


def _separate(
    statistics: Sequence[Sequence[Statistic]], scored: Sequence[ScoredRuns], without: int, patients: NDArray, seed: int
) -> Verdict:
    """Return what a percentile bootstrap over patients and a paired t-test over seeds say; both must agree."""
    bootstrap = PatientBootstrap(patients, n_resamples=500, seed=seed)
    baseline = mean_statistic(statistics[0])
    resampled = [bootstrap.difference(mean_statistic(arm), baseline) for arm in statistics[without:]]
    seeds = scored[0].scores.tolist()
    paired = [paired_effect(arm.scores.tolist()[: len(seeds)], seeds) for arm in scored[without:]]
    p_values = [max(p, q) for p, q in zip(_holm(resampled), _holm(paired), strict=True)]
    beats_baseline = any(
        effect.low is not None and effect.low > 0 and p < 0.05 for effect, p in zip(resampled, p_values, strict=True)
    )
    return Verdict(beats_baseline, [(effect.low, effect.high) for effect in resampled])


def _holm(effects: Sequence[Effect]) -> list[float]:
    return [1.0 if p is None else p for p in holm([effect.p for effect in effects])]


def coverage(intervals: Sequence[Sequence[Interval]], truths: NDArray) -> str:
    """Return the share of the intervals of all studies that contain the truth of their arm."""
    covered = [
        low <= truth <= high
        for of_study in intervals
        for (low, high), truth in zip(of_study, truths, strict=True)
        if low is not None and high is not None
    ]
    return f"{np.mean(covered):.1%}" if covered else "-"


def simulate_studies(study: Study, studies: int) -> list[StudyResult]:
    """Return the results of many studies of one design."""
    rng = np.random.default_rng(0)
    return [analyse(study, rng, number < SEPARATE_STUDIES) for number in range(studies)]


def rates(results: Sequence[StudyResult]) -> list[str]:
    """Return the cells of a row of the first table after the design."""
    truths = np.mean([result.differences for result in results], axis=0)
    scores = np.mean([result.scores for result in results], axis=0)
    product = [result.verdicts[WAYS[-1]] for result in results]
    return [
        f"{100 * truths.max():+.1f}",
        f"{np.mean([result.better for result in results]):.1%}",
        f"{np.mean([verdict.beats_baseline for verdict in product]):.1%}",
        coverage([verdict.intervals for verdict in product], truths),
        coverage([result.score_intervals for result in results], scores),
        f"{np.mean([result.learned for result in results]):.1%}",
    ]


def candidates(results: Sequence[StudyResult]) -> list[str]:
    """Return the cells of a row of the second table: what each way of comparing finds and covers, and the ideal test.

    The ideal test knows the variance of the differences, which is that over all studies.
    """
    differences = np.array([result.differences for result in results])
    truths = differences.mean(0)
    cells = [f"{100 * truths.max():+.1f}"]
    for way in WAYS:
        verdicts = [result.verdicts[way] for result in results if way in result.verdicts]
        cells += [f"{np.mean([verdict.beats_baseline for verdict in verdicts]):.1%}"]
        cells += [coverage([verdict.intervals for verdict in verdicts], truths)]
    p_values = 2 * norm.sf(np.abs(differences) / differences.std(0))
    ideal = [
        any(p < 0.05 and gain > 0 for p, gain in zip(holm(row.tolist()), gains, strict=True))
        for row, gains in zip(p_values, differences, strict=True)
    ]
    return [*cells, f"{np.mean(ideal):.1%}"]


def designs() -> list[Study]:
    """Return the designs of the table: nothing helps, nothing is learned, or some arms help."""
    nulls = [
        Study([0.0] * arms, generators, 3, patients)
        for patients in (5, 10, 20)
        for arms, generators in ((1, 3), (3, 2))
    ]
    return [
        *nulls,
        Study([0.0] * 3, 1, 5, 16, generator_sd=0),
        Study([0.0] * 3, 2, 5, 16, others=[0.0]),
        Study([0.55] * 3, 2, 5, 16, others=[0.55]),
        Study([0.0] * 3, 2, 5, 16, skill=0),
        Study([0.47, 0.0, 0.0], 2, 5, 16),
        Study([0.47] * 3, 2, 5, 16),
        Study([0.55, 0.0, 0.0], 2, 5, 16),
        Study([0.55, 0.0, 0.0], 2, 5, 16, others=[0.0]),
        Study([0.55] * 3, 2, 5, 16),
        Study([0.55] * 3, 3, 5, 16),
        Study([0.55] * 3, 3, 5, 16, others=[0.2]),
    ]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    print(_row([*DESIGN, *COLUMNS], "---:"), flush=True)
    second = [_row([*DESIGN, *(cell for way in WAYS for cell in (way, "coverage")), "ideal test"], "---:")]
    for study in designs():
        others = " ".join(f"{gain:g}" for gain in study.others) or "-"
        design = [str(len(study.gains)), others, *map(str, (study.generators, study.seeds, study.patients))]
        results = simulate_studies(study, studies)
        print(_row([*design, *rates(results)]), flush=True)
        second.append(_row([*design, *candidates(results)]))
    print("\n" + "\n".join(second))


def _row(cells: Sequence[str], alignment: str = "") -> str:
    """Return a row of a Markdown table; with an alignment, the head of the table."""
    return f"| {' | '.join(cells)} |" + (f"\n|{f' {alignment} |' * len(cells)}" if alignment else "")


if __name__ == "__main__":
    main()
