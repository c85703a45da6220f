"""The records of `metrics.json`, the results of an evaluation.

Version 3 of the schema adds `caveats` and `score_reason` to the answer, `against_all`, `constant`, `control` and
`external`, and `learned`, `above_constant`, `class_f1`, `macro_f1`, folds and generators to each arm, `attention` and
`large_images`.
Version 2 has `inputs`, the digests of what was evaluated. In version 1 they are found only among the labels of
`provenance`.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from histoforge.autoencoder.reconstruction import ReconstructionError
from histoforge.core.documents import json_values
from histoforge.evaluation.arm_factors import Factors
from histoforge.evaluation.comparisons import AgainstAll
from histoforge.evaluation.findings import GeneratorRow, InputDigests, TopTile
from histoforge.evaluation.image_scores import ImageScores
from histoforge.evaluation.learning import ConstantClassifier
from histoforge.evaluation.level_scores import LevelScores
from histoforge.evaluation.realism import Realism
from histoforge.evaluation.study_findings import (
    ClassifierTraining,
    ControlFindings,
    Difference,
    PatientRow,
    Score,
    Verdict,
)
from histoforge.metrics.classification import ClassificationMetrics
from histoforge.metrics.crossed_mean import CrossedMean
from histoforge.metrics.extractor_check import ExtractorCheck
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.memorisation import MemorisationAudit

SCHEMA_VERSION = 3


class Record(BaseModel):
    """Base class of the file's records. Entries that a record does not know are ignored when it is read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AnswerRecord(Record):
    """The first lines of the report; `difference` is that of `best` from `reference` in `score`."""

    verdict: Verdict
    headline: str
    lines: list[str]
    best: str
    reference: str
    score: str
    difference: Difference | None
    caveats: list[str] = []
    score_reason: str = ""


class DataRecord(Record):
    """Real patches, and the units that the bootstrap draws, by split and class; '' counts all classes together."""

    patches: dict[str, dict[str, int]]
    units: dict[str, dict[str, int]]
    unit: str


class RunRecord(ClassificationMetrics):
    """All metrics of one run: one seed of the classifiers, with one seed of the generator (None without one)."""

    seed: int
    generator_seed: int | None = None


class ArmRecord(Record):
    """One arm on the test split.

    Attributes:
        factors: what sets the arm apart in a study of factors.
        counts: training patches by origin and class.
        scores: mean, standard deviation and interval by name.
        confusion: counts [C, C] averaged over seeds, true classes in rows.
        runs: one per seed and generator; with folds, over the patients of all folds.
        folds: the folds of a cross-validation; empty for a single split.
        training: how its classifiers were trained; `models` are their digests.
        learned: whether it is above a classifier that always gives the same answer; None if that cannot be tested.
        above_constant: by how much it is above that classifier, by score.
        class_f1, macro_f1: F1 of each class, and their unweighted mean, as in `scores`.
    """

    factors: Factors
    seeds: list[int]
    counts: dict[str, dict[str, int]]
    scores: dict[str, Score]
    confusion: list[list[float]]
    runs: list[RunRecord]
    training: ClassifierTraining
    learned: bool | None = None
    above_constant: dict[str, CrossedMean] = {}
    folds: list[int] = []
    class_f1: dict[str, Score] = {}
    macro_f1: Score | None = None


class ExternalRecord(Record):
    """The external test.

    Attributes:
        source, source_digest: location of the external source, and digest of its files.
        lines: the answer on it.
        patches, units: patches and patients (slides, images) by class; '' counts the units of all classes together.
        unit: what the units are.
        arms, differences, patients: as for the internal test.
    """

    source: str
    source_digest: str
    lines: list[str]
    patches: dict[str, int]
    units: dict[str, int]
    unit: str
    arms: dict[str, ArmRecord]
    differences: list[Difference]
    patients: list[PatientRow]


class GenerativeRecord(GenerativeMetrics):
    """Generative metrics of a set of synthetic patches against a set of real ones."""

    synthetic: str
    against: str


class SelectionRecord(Record):
    """The selection: its rule in words, and by class the number of candidates and the ranges of their scores."""

    rule: str
    classes: dict[str, dict[str, Any]]


class GeneratorTrainingRecord(Record):
    """The generator's training: the chosen epoch (by class if each has its own network), and the curves by series."""

    chosen_epoch: int | dict[str, int] | None
    curves: dict[str, tuple[list[float], list[float]]]


class GeneratorLevelsRecord(Record):
    """The levels of a generator (Tables 1 and 2 of PathUp), from its scores.

    Attributes:
        name, method, variant, seed: those of the generator.
        digest: its identity.
        judge: the extractor that compares generators.
        levels: metrics over independent draws, a row per level and extractor.
        figures: what else its training measured, such as the leak probe.
    """

    name: str
    method: str
    variant: str
    seed: int
    digest: str
    judge: str
    levels: list[LevelScores]
    figures: dict[str, float]


class LargeImagesRecord(Record):
    """Generators at their levels, sets of large images (Tables 3 and 4 of PathUp), and the autoencoder's error."""

    generators: list[GeneratorLevelsRecord]
    images: list[ImageScores]
    reconstruction: dict[str, ReconstructionError]


class EvaluationResults(Record):
    """The content of `metrics.json`.

    Attributes:
        inputs: digests of what was evaluated.
        differences: all paired differences between arms.
        against_all: tests of whether an arm with synthetic patches is better than every arm without them.
        constant: scores of a classifier that always names the most frequent class of the test split.
        patients: one row per test patient.
        control: the positive control; None without one.
        generators: each of several generators, by fold and seed; empty if there is one.
        extractor_checks: for each extractor, the distances of corrupted real patches, and what is wrong with them.
        realism: what the synthetic patches are: told from real ones, tissue, and of their class; None without any.
        memorisation: the audit of the synthetic patches; None if there were none.
        networks: trainings of the networks that draw and classify patches, by arm and seed.
        provenance: labels and values for display, as in the report.
        external: the external test; None if there was none.
        attention: the tile of each shown test image with the most weight, by arm whose network weighs tiles.
        large_images: generators at their spatial levels, and large images; None if neither was given.
    """

    schema_version: int = SCHEMA_VERSION
    answer: AnswerRecord
    warnings: list[str]
    classes: list[str]
    inputs: InputDigests
    data: DataRecord
    arms: dict[str, ArmRecord]
    differences: list[Difference]
    against_all: list[AgainstAll] = []
    constant: ConstantClassifier | None = None
    patients: list[PatientRow]
    control: ControlFindings | None = None
    generative: list[GenerativeRecord]
    generators: list[GeneratorRow] = []
    extractor_checks: list[ExtractorCheck] = []
    realism: Realism | None = None
    memorisation: MemorisationAudit | None
    selection: SelectionRecord | None
    generator: GeneratorTrainingRecord | None
    networks: dict[str, dict[int, GeneratorTrainingRecord]] = Field(default_factory=dict)
    provenance: dict[str, str]
    external: ExternalRecord | None = None
    attention: list[TopTile] = []
    large_images: LargeImagesRecord | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON values, with None for numbers that are not finite."""
        return dict(json_values(self.model_dump()))
