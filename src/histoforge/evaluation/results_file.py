"""`metrics.json`: the results of an evaluation, written by `evaluate` and read by `publish_model`.

Version 3 of the schema adds `caveats` and `score_reason` to the answer, `against_all`, `constant`, `control` and
`external`, and `learned`, `above_constant`, `class_f1`, `macro_f1`, folds and generators to each arm, and `attention`.
Version 2 has `inputs`, the digests of
what was evaluated. In version 1 they are found only among the labels of `provenance`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from histoforge.core.documents import json_values, read_json
from histoforge.core.errors import SourceError
from histoforge.evaluation.arm_factors import Factors
from histoforge.evaluation.comparisons import AgainstAll
from histoforge.evaluation.findings import (
    ExternalFindings,
    Findings,
    GeneratorRow,
    InputDigests,
    PoolFindings,
    TopTile,
)
from histoforge.evaluation.learning import ConstantClassifier
from histoforge.evaluation.realism import Realism
from histoforge.evaluation.study_findings import (
    ArmFindings,
    ClassifierTraining,
    ControlFindings,
    Difference,
    PatientRow,
    Score,
    StudyFindings,
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

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON values, with None for numbers that are not finite."""
        return dict(json_values(self.model_dump()))


def evaluation_results(
    findings: Findings, answer: AnswerRecord, external_lines: Sequence[str] = ()
) -> EvaluationResults:
    """Return the results of the findings, with the lines of the answer on the external test."""
    study, chosen = findings.study, findings.chosen_epochs
    generator = GeneratorTrainingRecord(
        chosen_epoch=chosen[""] if "" in chosen else dict(chosen) or None, curves=dict(findings.curves)
    )
    return EvaluationResults(
        answer=answer,
        warnings=list(findings.warnings),
        classes=findings.classes,
        inputs=findings.digests,
        data=DataRecord(patches=findings.counts, units=findings.units, unit=study.units),
        arms={arm.name: _arm(study, arm) for arm in study.arms},
        differences=study.differences,
        against_all=study.against_all,
        constant=study.constant,
        patients=study.patients,
        control=study.control,
        generative=[
            GenerativeRecord(synthetic=row.subset, against=row.against, **row.metrics.model_dump())
            for row in findings.generative
        ],
        generators=list(findings.generators),
        extractor_checks=list(findings.checks),
        realism=findings.realism,
        memorisation=findings.audit,
        selection=None if findings.pool is None else _selection(findings.pool, findings.classes),
        generator=generator if findings.curves else None,
        networks={
            arm: {
                record.seed: GeneratorTrainingRecord(chosen_epoch=record.chosen_epoch, curves=dict(record.curves))
                for record in records
            }
            for arm, records in findings.networks.items()
        },
        provenance=dict(findings.provenance),
        external=None if findings.external is None else _external(findings.external, external_lines),
        attention=[attention.tile for example in findings.attention for attention in example.maps],
    )


def _external(external: ExternalFindings, lines: Sequence[str]) -> ExternalRecord:
    return ExternalRecord(
        source=external.source,
        source_digest=external.source_digest,
        lines=list(lines),
        patches=external.counts,
        units=external.units,
        unit=external.study.units,
        arms={arm.name: _arm(external.study, arm) for arm in external.study.arms},
        differences=external.study.differences,
        patients=external.study.patients,
    )


def _arm(study: StudyFindings, arm: ArmFindings) -> ArmRecord:
    return ArmRecord(
        factors=arm.factors,
        seeds=arm.seeds,
        counts=arm.counts,
        scores=arm.scores,
        confusion=arm.mean_confusion.tolist(),
        runs=[
            RunRecord(seed=seed, generator_seed=generator_seed, **run.model_dump())
            for (generator_seed, seed), run in zip(arm.run_keys, arm.runs, strict=True)
        ],
        folds=arm.folds,
        training=arm.training,
        learned=study.learned(arm.name),
        above_constant=arm.above_constant,
        class_f1=arm.class_f1,
        macro_f1=arm.macro_f1,
    )


def _selection(pool: PoolFindings, class_names: list[str]) -> SelectionRecord:
    classes = {}
    for label, name in enumerate(class_names):
        in_class = pool.labels == label
        kept, rejected = in_class & pool.kept, in_class & ~pool.kept
        ranges = {
            score: {"kept": _range(values[kept]), "rejected": _range(values[rejected])}
            for score, values in pool.scores.items()
        }
        classes[name] = {"candidates": int(in_class.sum()), "kept": int(kept.sum()), **ranges}
    return SelectionRecord(rule=pool.rule, classes=classes)


def _range(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    return {"lowest": float(values.min()), "median": float(np.median(values)), "highest": float(values.max())}


class AuditDecision(Record):
    """The fields of the memorisation audit that decide whether a model is published."""

    extractor: str = ""
    copied: bool = True
    enough: bool = False
    verdict: str = ""


class _Models(Record):
    models: list[str]


class _ArmModels(Record):
    training: _Models


class _Extractor(Record):
    extractor: str


class _Answer(Record):
    caveats: list[str] = []


class PublishableResults(Record):
    """The part of `EvaluationResults` that `publish_model` reads."""

    inputs: InputDigests
    arms: dict[str, _ArmModels]
    generative: list[_Extractor]
    memorisation: AuditDecision | None = None
    warnings: list[str] = []
    answer: _Answer = _Answer()

    @property
    def cautions(self) -> list[str]:
        """The warnings of the evaluation, the most serious first."""
        return [*self.answer.caveats, *self.warnings]

    @property
    def models(self) -> set[str]:
        """Digests of the evaluated classifiers."""
        return {model for arm in self.arms.values() for model in arm.training.models}

    @property
    def extractors(self) -> list[str]:
        """Names of the extractors with which synthetic patches were compared, sorted."""
        audit = [self.memorisation.extractor] if self.memorisation else []
        return sorted({*(row.extractor for row in self.generative), *filter(None, audit)})


def read_results(path: Path) -> PublishableResults:
    """Return the part of a `metrics.json` that `publish_model` reads.

    Raises:
        SourceError: the file is not an evaluation's, or has a newer schema.
    """
    advice = "name the metrics.json that evaluate wrote"
    try:
        document = read_json(path, SourceError)
        version = int(document["schema_version"])
        if version <= SCHEMA_VERSION:
            return PublishableResults.model_validate(_upgraded(document) if version == 1 else document)
    except (SourceError, ValidationError, ValueError, TypeError, KeyError, AttributeError):
        raise SourceError(f"{path} contains no results of an evaluation: {advice}.") from None
    raise SourceError(
        f"{path} has schema {version}, newer than {SCHEMA_VERSION}, which this version reads: upgrade histoforge."
    )


def _upgraded(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of version 1 with the `inputs` of version 2, read from the labels that version 1 wrote."""
    provenance = document["provenance"]
    inputs = {
        "patches": provenance["Real patches"],
        "candidates": provenance.get("Candidates", ""),
        "selected": provenance.get("Selected patches", ""),
        "generator": provenance.get("Generator", ""),
        "source": provenance.get("Source", ""),
    }
    return {**document, "inputs": inputs}
