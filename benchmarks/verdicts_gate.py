"""Error rates of the gate of `publish_model`: simulated champions and challengers with a known difference.

    python benchmarks/verdicts_gate.py [--studies 1000]

The patients, patches and classifiers are those of `verdicts.py`; generators do not vary, because champion and
challenger are what they are. The decisions are the product's own: `gate.check_learning`, then `gate.check_difference`
of the analysis over patients and training runs, or over patients alone where each side is a single classifier. A
challenger that is truly worse by the margin must not pass in more than 2.5% of cases, half of the level of a two-sided
interval.
"""

import argparse

import numpy as np
from scipy.stats import norm
from verdicts import SCORE, Study, coverage, simulate

from histoforge.metrics.classification import statistic
from histoforge.metrics.crossed import crossed_difference, fixed_difference
from histoforge.metrics.crossed_mean import crossed_mean, excess
from histoforge.metrics.scored_runs import Jackknife
from histoforge.models.gate import check_difference, check_learning

COLUMNS = ("classifiers", "patients", "true difference", "passes, margin 0", "passes, margin 5", "coverage")
LATENT_SD = (0.6**2 + 0.8**2 + 0.15**2 + 0.2**2 + 0.6**2) ** 0.5
"""Standard deviation of the logits of one classifier over patients and patches."""
SKILL = 0.6


def gain_of(points: float) -> float:
    """Return the shift of the logits that changes the balanced accuracy of one classifier by some points."""
    return float(norm.ppf(norm.cdf(SKILL / LATENT_SD) + points / 100) * LATENT_SD - SKILL)


def decide(study: Study, rng: np.random.Generator) -> tuple[list[bool], float, tuple[float | None, float | None]]:
    """Simulate a challenger and a champion, and return whether it passes with each margin, and what was measured."""
    arms, _, labels, patients = simulate(study, rng)
    jackknife = Jackknife(patients)
    champion, challenger = (
        jackknife.score([statistic(SCORE, probabilities, labels) for probabilities in arm]) for arm in arms
    )
    constant = jackknife.score([statistic(SCORE, np.tile([1.0, 0.0], (len(labels), 1)), labels)])
    above = crossed_mean(excess(challenger, constant))
    learned = check_learning(above, SCORE, crossed_mean(challenger).value, 0.5, "patients")
    difference = fixed_difference if study.seeds == 1 else crossed_difference
    effect = difference(challenger, champion)
    passes = [
        learned.accepted and check_difference(effect, SCORE, margin, 5, "patients").accepted for margin in (0.0, 0.05)
    ]
    return passes, effect.difference or 0.0, (effect.low, effect.high)


def rates(classifiers: int, patients: int, points: float, studies: int) -> list[str]:
    """Return the cells of a row after the design.

    A single classifier is compared as it is, so seeds do not vary: the truth is that of these classifiers.
    """
    study = Study(
        [gain_of(points)], 1, classifiers, patients, generator_sd=0.0, seed_sd=0.0 if classifiers == 1 else 0.15
    )
    rng = np.random.default_rng(0)
    results = [decide(study, rng) for _ in range(studies)]
    truth = np.mean([difference for _, difference, _ in results])
    passed = np.mean([passes for passes, _, _ in results], axis=0)
    covered = coverage([[interval] for _, _, interval in results], np.array([truth]))
    return [f"{100 * truth:+.1f}", *(f"{share:.1%}" for share in passed), covered]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " ---: |" * len(COLUMNS))
    for points in (-5.0, 0.0, 14.0):
        for classifiers in (5, 1):
            for patients in (5, 10, 20):
                sizes = [f"{classifiers} and {classifiers}", str(patients)]
                print("| " + " | ".join([*sizes, *rates(classifiers, patients, points, studies)]) + " |", flush=True)


if __name__ == "__main__":
    main()
