"""`metrics.json`: the results of an evaluation, written by `evaluate` and read by `publish_model`."""

from collections.abc import Sequence

import numpy as np

from histoforge.evaluation.findings import ExternalFindings, Findings, PoolFindings
from histoforge.evaluation.large_images import LargeImageFindings
from histoforge.evaluation.result_records import (
    AnswerRecord,
    ArmRecord,
    DataRecord,
    EvaluationResults,
    ExternalRecord,
    GenerativeRecord,
    GeneratorLevelsRecord,
    GeneratorTrainingRecord,
    LargeImagesRecord,
    RunRecord,
    SelectionRecord,
)
from histoforge.evaluation.study_findings import ArmFindings, StudyFindings


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
        large_images=None if findings.large_images is None else _large_images(findings.large_images),
    )


def _large_images(large: LargeImageFindings) -> LargeImagesRecord:
    return LargeImagesRecord(
        generators=[
            GeneratorLevelsRecord(
                name=scores.name,
                method=scores.method,
                variant=scores.reward,
                seed=scores.seed,
                digest=scores.digests.generator,
                judge=scores.judge,
                levels=scores.levels,
                figures=scores.figures,
            )
            for scores in large.generators
        ],
        images=list(large.images),
        reconstruction=dict(large.reconstruction),
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
