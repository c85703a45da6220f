"""Error rates of the answer where studies are less regular than those of `verdicts.py`.

    python benchmarks/verdicts_harder.py [--studies 1000] [--only "three classes"]

Classifiers that were trained with the same seed resemble each other in all arms; there are more than two classes; AUC
decides; patients have very different numbers of patches; one class is rare; patients have one class only; patients are
tested in five folds, each by networks of its own; generators or seeds of one arm vary more than those of others. Each
of these is simulated in studies in which no arm helps, with 5, 10 and 20 patients, and in one in which one arm of three
helps. The statistics are the product's own: the score, and the comparisons of `evaluation.comparisons`.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import binomtest

from histoforge.evaluation.comparisons import Planned, compare
from histoforge.metrics.classification import statistic
from histoforge.metrics.crossed import CrossedEffect
from histoforge.metrics.scored_runs import Jackknife

Floats = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Design:
    """A study and its truth.

    Attributes:
        title: what is less regular.
        gain: shift of the latent score of the first of three synthetic arms; the others do not help.
        generators, seeds, patients: their numbers; the seeds are those of one generator.
        patches: median number of patches per patient.
        spread: standard deviation of the logarithm of that number; 0 for equal numbers.
        prevalence: shares of the classes.
        pure: whether each patient has patches of one class only.
        score: the score that decides.
        shared: part of the seeds' variance that classifiers of the same seed share in all arms.
        baseline_seeds, first_generators: factors of the standard deviations of the baseline's seeds, and of the
            generators of the first synthetic arm.
        common_generators: whether generators move all arms alike.
        folds: number of folds, each with generators and classifiers of its own; 1 for a single split.
    """

    title: str
    gain: float = 0.0
    generators: int = 2
    seeds: int = 5
    patients: int = 16
    patches: int = 20
    spread: float = 0.0
    prevalence: tuple[float, ...] = (0.5, 0.5)
    pure: bool = False
    score: str = "balanced_accuracy"
    shared: float = 0.0
    baseline_seeds: float = 1.0
    first_generators: float = 1.0
    common_generators: bool = False
    folds: int = 1


IRREGULAR = (
    Design("none"),
    Design("same seeds alike (80% of their variance)", shared=0.8),
    Design("the baseline's seeds vary twice as much", baseline_seeds=2.0),
    Design("an arm's generators vary twice as much", first_generators=2.0),
    Design("generators move all arms alike", common_generators=True),
    Design("three classes", prevalence=(1 / 3, 1 / 3, 1 / 3)),
    Design("five classes", prevalence=(0.2,) * 5),
    Design("AUC", score="auc"),
    Design("2 to 200 patches per patient", spread=1.0),
    Design("a class with 20% of the patches", prevalence=(0.8, 0.2)),
    Design("both, and AUC", spread=1.0, prevalence=(0.8, 0.2), score="auc"),
    Design("patients of one class", pure=True),
    Design("patients of one class, uneven numbers", pure=True, spread=1.0),
    Design("five folds", folds=5),
)
SEED_SD = GENERATOR_SD = 0.15
PATIENT_SD, PATCH_SD, ARM_SD, RUN_PATIENT_SD, RUN_PATCH_SD, CLASS_SD = 0.6, 0.8, 0.15, 0.2, 0.6, 0.3


@dataclass(frozen=True)
class Patches:
    """The test patches of a study: label, patient and fold of each, int64 [N], and its difficulty, float [N]."""

    labels: NDArray[np.int64]
    patients: NDArray[np.int64]
    folds: NDArray[np.int64]
    difficulty: Floats

    @classmethod
    def draw(cls, design: Design, rng: np.random.Generator) -> "Patches":
        """Draw patients with their patches."""
        counts = np.full(design.patients, design.patches)
        if design.spread:
            counts = (design.patches * rng.lognormal(0, design.spread, design.patients)).clip(2, 200).astype(int)
        patients = np.repeat(np.arange(design.patients), counts)
        classes = len(design.prevalence)
        if design.pure:
            labels = rng.permutation(np.arange(design.patients) % classes)[patients]
        else:
            labels = rng.choice(classes, len(patients), p=design.prevalence)
        folds = (rng.permutation(design.patients) % design.folds)[patients]
        by_patient = rng.normal(0, PATIENT_SD, (design.patients, classes))[patients, labels]
        return cls(labels, patients, folds, by_patient + rng.normal(0, PATCH_SD, len(patients)))


def predict(patches: Patches, latent: Floats, classes: int, rng: np.random.Generator) -> Floats:
    """Return the probabilities [N, C] of a classifier whose logit of the true class is `latent` above the others."""
    logits = rng.normal(0, CLASS_SD if classes > 2 else 0, (len(latent), classes))
    logits[np.arange(len(latent)), patches.labels] += latent
    return softmax(logits, axis=1)


def simulate_arm(
    design: Design, patches: Patches, generators: Floats | None, same_seed: Floats, gain: float, rng: Rng
) -> tuple[list[Floats], list[int | None]]:
    """Return the probabilities of an arm's classifiers, and the generator of each.

    Args:
        generators: effect of each generator in each fold, [G, folds]; None for the baseline.
        same_seed: what classifiers of the same seed have in common, [seeds, folds].
    """
    classes = len(design.prevalence)

    def noise(sd: float) -> Floats:
        return rng.normal(0, sd, (design.patients, classes))[patches.patients, patches.labels]

    of_arm = noise(ARM_SD)
    seed_sd = SEED_SD * (1 - design.shared) ** 0.5 * (design.baseline_seeds if generators is None else 1.0)
    probabilities, origins = [], []
    for generator, of_generator in enumerate(np.zeros((1, design.folds)) if generators is None else generators):
        for seed in range(design.seeds):
            of_seed = rng.normal(0, seed_sd, design.folds) + same_seed[seed]
            effect = (of_generator + of_seed)[patches.folds]
            of_run = noise(RUN_PATIENT_SD) + rng.normal(0, RUN_PATCH_SD, len(patches.labels))
            latent = 0.6 + gain + effect + patches.difficulty + of_arm + of_run
            probabilities.append(predict(patches, latent, classes, rng))
            origins.append(None if generators is None else generator)
    return probabilities, origins


def draw_generators(design: Design, arms: int, rng: Rng) -> Floats:
    """Return the effects of generators on arms in each fold, [arms, G, folds]; half of the variance is common."""
    sd = GENERATOR_SD * (1.0 if design.common_generators else 0.5**0.5)
    shape = (design.generators, design.folds)
    of_arm = rng.normal(0, 0.0 if design.common_generators else sd, (arms, *shape))
    effects = rng.normal(0, sd, shape) + of_arm
    effects[0] *= design.first_generators
    return effects


def analyse(design: Design, rng: Rng) -> list[CrossedEffect]:
    """Simulate a study, and compare each of three synthetic arms with the baseline."""
    patches = Patches.draw(design, rng)
    same_seed = rng.normal(0, SEED_SD * design.shared**0.5, (design.seeds, design.folds))
    generators = draw_generators(design, 3, rng)
    jackknife = Jackknife(patches.patients)
    scored = {}
    for name, gain, of_arm in zip("0123", (0.0, design.gain, 0.0, 0.0), (None, *generators), strict=True):
        probabilities, origins = simulate_arm(design, patches, of_arm, same_seed, gain, rng)
        scored[name] = jackknife.score([statistic(design.score, p, patches.labels) for p in probabilities], origins)
    return [each.effect for each in compare(scored, [Planned(name, "0") for name in "123"], design.score)]


def rates(design: Design, studies: int) -> list[str]:
    """Return the cells of a row: largest gain, share of studies with a better arm and its interval, coverage."""
    rng = np.random.default_rng(0)
    results = [analyse(design, rng) for _ in range(studies)]
    truths = np.mean([[effect.difference for effect in effects] for effects in results], axis=0)
    if not design.gain:
        truths = np.zeros_like(truths)
    better = sum(
        any(
            p is not None and p < 0.05 and gain > 0
            for p, gain in ((each.p_adjusted, each.difference) for each in effects)
        )
        for effects in results
    )
    low, high = binomtest(better, studies).proportion_ci()
    covered = [
        effect.low <= truth <= effect.high
        for effects in results
        for effect, truth in zip(effects, truths, strict=True)
        if effect.low is not None and effect.high is not None
    ]
    without = 1 - len(covered) / (len(truths) * studies)
    return [
        f"{100 * truths.max():+.1f}",
        f"{better / studies:.1%} ({low:.1%} to {high:.1%})",
        f"{np.mean(covered):.1%}" if covered else "n/a",
        f"{without:.1%}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--only", default="", help="only the irregularity with this name")
    arguments = parser.parse_args()
    print("| irregularity | patients | largest gain | better (95% interval) | coverage | no interval |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for design in IRREGULAR:
        if arguments.only not in ("", design.title):
            continue
        nulls = [replace(design, patients=patients) for patients in (5, 10, 20)]
        for each in (*nulls, replace(design, gain=0.55)):
            print(f"| {each.title} | {each.patients} | {' | '.join(rates(each, arguments.studies))} |", flush=True)


if __name__ == "__main__":
    main()
