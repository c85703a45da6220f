"""The findings of a study: the arms on the test split, and their differences."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histoforge.core.text import counted
from histoforge.evaluation.arm_factors import Factors, arm_title
from histoforge.evaluation.comparisons import AgainstAll
from histoforge.evaluation.learning import ConstantClassifier, learning_score
from histoforge.evaluation.unified import unified_reference
from histoforge.metrics.classification import ClassificationMetrics
from histoforge.metrics.crossed import CrossedEffect
from histoforge.metrics.crossed_mean import CrossedMean, has_learned
from histoforge.metrics.price import Price
from histoforge.metrics.results import Effect

TABLE_SCORES = ("accuracy", "auc", "sensitivity", "specificity")
"""The columns of Tables 1 and 2 of Xue et al. 2021."""
SCORE_NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auc": "AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "brier": "Brier score",
    "calibration_error": "Calibration error",
}
Verdict = Literal[
    "better", "better_than_reference", "worse", "no_difference", "too_few", "not_learned", "no_comparison"
]


@dataclass(frozen=True)
class Score:
    """One score of an arm.

    Attributes:
        mean: over seeds; None if undefined.
        deviation: sample standard deviation over seeds; None for one seed.
        low, high: interval of the mean, over test patients and training runs; None for the reason in `note`.
        seeds: the score of each seed.
    """

    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    seeds: list[float | None]
    note: str = ""


@dataclass(frozen=True)
class Difference:
    """The difference between two arms in one score.

    Attributes:
        arm, against: names of the two arms.
        score: name of the score.
        overall: the difference over test patients and training runs together, on which the verdict rests. Holm's
            method corrects its p-value over all comparisons in one score. None in results of earlier versions.
        over_patients: bootstrap over test patients alone (mean over seeds).
        over_seeds: paired t-test over the seeds that both arms have; None if they share none or the score is undefined
            for one of them. Holm's method corrects both p-values over the arms of one score.
    """

    arm: str
    against: str
    score: str
    over_patients: Effect
    over_seeds: Effect | None
    overall: CrossedEffect | None = None


@dataclass(frozen=True)
class ClassifierTraining:
    """Training of the classifiers of an arm.

    Attributes:
        epochs, best_epochs, steps: of each classifier; None if its record lacks them.
        seconds: training time of each classifier.
        models: digest of each classifier.
        seeds, folds, generator_seeds: which each classifier is: its seed, its fold (-1 for a single split), and the
            seed of its generator (None without one). Empty in results of earlier versions.
        method: the backbone.
        config: the settings.
        digests: digests of the patch sets that it was trained on.
    """

    epochs: list[int | None]
    best_epochs: list[int | None]
    steps: list[int | None]
    seconds: list[float]
    models: list[str]
    method: str
    config: dict[str, Any]
    digests: dict[str, str]
    seeds: list[int] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    generator_seeds: list[int | None] = field(default_factory=list)


@dataclass(frozen=True)
class ArmFindings:
    """One arm on the test split.

    Attributes:
        factors: what distinguishes the arm in a study, such as ratio, pool and fraction.
        seeds: the seed of each run. In a cross-validation, the classifiers of a seed in all folds are one run.
        generator_seeds: the seed of the generator behind each run; None without one.
        generators: the origin of the synthetic patches behind each run, by which runs with the same generator are told
            from runs with another; None for an arm of real patches alone.
        folds: the folds of a cross-validation; empty for a single split.
        counts: training patches by origin ('real', 'synthetic') and class; those of the first fold and generator.
        scores: by name.
        runs: all metrics of each run.
        histories: one list of epochs per classifier, each with val_loss and similar values.
        training: settings, digests and durations.
        above_constant: by how much it is above a classifier that always gives the same answer, by score.
        class_f1, macro_f1: F1 of each class against all others, by its name, and their unweighted mean.
    """

    name: str
    factors: Factors
    seeds: list[int]
    generator_seeds: list[int | None]
    generators: list[str | None]
    folds: list[int]
    counts: dict[str, dict[str, int]]
    scores: dict[str, Score]
    runs: list[ClassificationMetrics]
    histories: list[list[dict[str, float]]]
    training: ClassifierTraining
    above_constant: dict[str, CrossedMean] = field(default_factory=dict)
    class_f1: dict[str, Score] = field(default_factory=dict)
    macro_f1: Score | None = None

    @property
    def title(self) -> str:
        """The arm's name for display."""
        return arm_title(self.name, self.factors)

    @property
    def kind(self) -> str:
        """The kind of arm regardless of its factors, such as 'selective' for any fraction."""
        return str(self.factors.get("kind", self.name))

    @property
    def mean_confusion(self) -> NDArray[np.float64]:
        """Confusion counts [C, C], rows true and columns predicted, averaged over seeds."""
        return np.mean([run.confusion for run in self.runs], axis=0)

    @property
    def size(self) -> str:
        """Its runs in words: '5 seeds', '2 generators with 5 seeds each', or '5 seeds in 4 folds'."""
        generators, seeds = len(set(self.generator_seeds) - {None}), counted(len(set(self.seeds)), "seeds")
        text = f"{generators} generators with {seeds} each" if generators > 1 else seeds
        return f"{text} in {counted(len(self.folds), 'folds')}" if self.folds else text

    @property
    def run_keys(self) -> list[tuple[int | None, int]]:
        """The seeds of generator and classifier of each run."""
        return list(zip(self.generator_seeds, self.seeds, strict=True))

    @property
    def synthetic(self) -> int:
        """Number of synthetic patches that the arm was trained with."""
        return sum(self.counts.get("synthetic", {}).values())

    @property
    def control(self) -> int:
        """Number of held-back real patches that the arm was trained with; above 0 in a positive control."""
        return sum(self.counts.get("control", {}).values())


@dataclass(frozen=True)
class PatientRow:
    """One test patient: number of patches by class name, and the accuracy of each arm (mean over seeds)."""

    patient: str
    patches: dict[str, int]
    accuracy: dict[str, float]


@dataclass(frozen=True)
class ControlFindings:
    """The positive control: arms with held-back real patches in place of the synthetic ones.

    It asks whether the experiment could have shown a benefit, not whether synthetic patches help. Its comparisons are
    therefore not among those that Holm's method corrects, and its arms are never the best arm.

    Attributes:
        arm: the arm with the most held-back patches, by which the control is judged.
        added: number of held-back patches by arm, in ascending order.
        differences: of each of these arms from the reference, uncorrected.
        prices: what the synthetic patches of an arm were worth in the study's score, by arm.
        held_back: what was held back, 'patient', 'slide' or 'patch' (of training patients); '' if unknown.
    """

    arm: str
    added: dict[str, int]
    differences: list[Difference]
    prices: dict[str, Price]
    held_back: str = ""


@dataclass(frozen=True)
class StudyFindings:
    """All arms on the test split.

    Attributes:
        score: the score that the answer is based on.
        reference: the arm that the others are compared with.
        units: what an interval is over: 'patients', 'slides', or 'images' if the source names no patients.
        control: the positive control; None without one.
        against_all: the tests of whether an arm with synthetic patches is better than every arm without them, by arm
            and score; only where there are several of the latter.
        constant: the classifier that always gives the same answer; None in results of earlier versions.
        score_reason: why `score` decides the answer; '' if it was given.
    """

    score: str
    reference: str
    units: str
    confidence: float
    arms: list[ArmFindings]
    differences: list[Difference]
    patients: list[PatientRow]
    control: ControlFindings | None = None
    against_all: list[AgainstAll] = field(default_factory=list)
    constant: ConstantClassifier | None = None
    score_reason: str = ""

    def arm(self, name: str) -> ArmFindings:
        """Return the arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def title(self, name: str) -> str:
        """Return the name of an arm for display."""
        return self.arm(name).title

    def reference_of(self, arm: ArmFindings) -> str:
        """Return the name of the reference of `arm`.

        It is that of the same training fraction if the study has several, and that of `unified_reference` for arms of
        the comparison of one network with two stages.
        """
        if (reference := unified_reference(self.arms, arm)) is not None:
            return reference
        fraction = arm.factors.get("fraction")
        kind = self.arm(self.reference).kind
        same_fraction = (arm.name for arm in self.arms if arm.kind == kind and arm.factors.get("fraction") == fraction)
        return self.reference if fraction is None else next(same_fraction, self.reference)

    @property
    def challengers(self) -> list[ArmFindings]:
        """Return the arms that are compared with another arm, without the positive control."""
        return [arm for arm in self.arms if self.reference_of(arm) != arm.name and not arm.control]

    def rivals_of(self, arm: ArmFindings) -> list[str]:
        """Return the arms that `arm` must beat: its reference and, with synthetic patches, all arms without them.

        In the comparison of one network with two stages, arms differ in more than their patches: the reference alone.
        """
        fraction, reference = arm.factors.get("fraction"), self.reference_of(arm)
        if {"backbone", "network"} & arm.factors.keys():
            return [reference]
        without = [
            each.name
            for each in self.arms
            if not (each.synthetic or each.control) and each.factors.get("fraction") == fraction
        ]
        return list(dict.fromkeys([reference, *(without if arm.synthetic else [])]))

    def learned(self, name: str) -> bool | None:
        """Return whether an arm learned anything; None if that cannot be tested."""
        return has_learned(self.arm(name).above_constant.get(learning_score(self.score)))

    def difference(self, arm: str, score: str, against: str | None = None) -> Difference | None:
        """Return the difference of `arm` from `against` (by default its reference) in one score; None if missing."""
        against = against or self.reference_of(self.arm(arm))
        differences = [*self.differences, *(self.control.differences if self.control else [])]
        matches = (each for each in differences if (each.arm, each.against, each.score) == (arm, against, score))
        return next(matches, None)

    def beaten(self, arm: str, score: str) -> AgainstAll | None:
        """Return the test of `arm` against all arms without synthetic patches; None if there is only one of them."""
        return next((each for each in self.against_all if (each.arm, each.score) == (arm, score)), None)
