"""Compare the arms on the test split, judge the synthetic patches, and write the report."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.evaluation.arm_inputs import ArmInput, TestPatches, tested_patches
from histoforge.evaluation.arm_predictions import predict_arms
from histoforge.evaluation.attention import attention_examples
from histoforge.evaluation.build_findings import EvaluationInputs, build_findings
from histoforge.evaluation.compare_drawn import compare_drawn
from histoforge.evaluation.drawn_sets import open_drawn
from histoforge.evaluation.findings import ExternalFindings, Findings
from histoforge.evaluation.flat_metrics import flat_metrics
from histoforge.evaluation.inputs import (
    TestUnits,
    data_caveats,
    data_warnings,
    open_arms,
    test_units,
    units_by_class,
)
from histoforge.evaluation.large_images import open_large_images
from histoforge.evaluation.leading_score import leading_score
from histoforge.evaluation.patch_features import ComparisonSettings
from histoforge.evaluation.published_extractors import published_extractors
from histoforge.evaluation.result_records import AnswerRecord
from histoforge.evaluation.results_file import evaluation_results
from histoforge.evaluation.study import ArmPredictions, build_study
from histoforge.evaluation.study_findings import StudyFindings
from histoforge.metrics.extract import Extractor
from histoforge.metrics.roc import roc_curve
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.reports.layout.page import write_page
from histoforge.reports.study_page import build_study_page
from histoforge.reports.text.caveats import study_caveats
from histoforge.reports.text.control import with_control
from histoforge.reports.text.external import external_lines
from histoforge.reports.text.markdown import study_markdown
from histoforge.reports.text.study_answer import study_answer
from histoforge.reports.text.unified_answer import unified_answer
from histoforge.steps.evaluate_config import Confusion, EvaluateConfig, EvaluateSummary, Roc
from histoforge.steps.external_test import external_patches, external_warnings
from histoforge.training.device import resolve_device, resolve_precision

Paths = Path | Sequence[Path] | None
"""An input that may be given once, several times (for folds and generators), or not at all."""


def run(
    config: EvaluateConfig,
    *,
    patches: Path,
    arms: Sequence[Path],
    generator: Paths = None,
    pool: Paths = None,
    selected: Paths = None,
    overviews: Path | None = None,
    generator_scores: Paths = None,
    image_scores: Paths = None,
    autoencoder: Path | None = None,
    report: Path,
    metrics: Path,
) -> EvaluateSummary:
    """Evaluate the arms and the synthetic patches.

    Args:
        config: the settings.
        patches: patch set of real patches; its test split is read here and by no other step.
        arms: arm directories, in the order of the report (the reference comes first). Those of one name are one arm:
            its folds, and its generators.
        generator: generator whose history and pictures are shown; of several, those of the first.
        pool: scored candidates, with their column 'kept'; of several, the first is shown in detail.
        selected: kept patches; used if there is no pool.
        overviews: overviews with the pictures of slides.
        generator_scores: outputs of score_generator, for the tables of generators.
        image_scores: outputs of score_images, for the tables of large images.
        autoencoder: the autoencoder of latent diffusion, for its reconstruction error.
        report: the HTML page to write.
        metrics: the JSON file to write.

    Raises:
        HistoforgeError: if there is no test split or no arm, or the inputs do not belong together.
    """
    started = time.monotonic()
    device = resolve_device(config.device)
    dtype = resolve_precision(config.precision, device)
    whole = PatchSet.open(patches)
    units = test_units(whole)
    arm_inputs, reference, warnings = open_arms(arms, whole, config.reference)
    tested = tested_patches(whole, arm_inputs[0].folds)
    test, real = tested.patches, whole.in_fold(arm_inputs[0].folds[0])
    drawn = open_drawn(path_list(generator), path_list(pool), path_list(selected), whole)
    large_images = open_large_images(path_list(generator_scores), path_list(image_scores), autoencoder, whole.classes)
    synthetic, shown_generator = (drawn[0].sets, drawn[0].generator) if drawn else (None, None)
    published = _published(config, device, dtype) if synthetic else []
    warnings += data_warnings(whole, arm_inputs, units)
    score, reason = leading_score(config.score, test.labels, test.classes)
    if reason:
        say(f"evaluate: {reason}")
    predictions, by_fold = predict_arms(arm_inputs, DevicePatches.load(test, device), tested, config.batch_size, dtype)
    study = _study(config, predictions, test, units, reference, score, reason)
    say(f"evaluate: {len(arm_inputs)} arms compared on {len(test)} test patches")
    external = _test_externally(config, real, arm_inputs, study, device) if config.test_source else None
    comparison, generators, about_drawn = compare_drawn(
        drawn, whole, real, by_fold, published, _settings(config, device)
    )
    warnings += about_drawn
    findings = build_findings(
        EvaluationInputs(
            real=real,
            test=tested,
            units=units,
            arms=arm_inputs,
            study=study,
            synthetic=synthetic,
            comparison=comparison,
            generator=shown_generator,
            overviews=overviews,
            warnings=warnings,
            caveats=data_caveats(whole, arm_inputs, units),
        ),
        heading=config.heading,
        shown_patches=config.shown_patches,
        shown_slides=config.shown_slides,
        settings=config.model_dump(mode="json"),
        seed=config.seed,
        computed_on=f"{device} at precision {config.precision}",
        seconds=time.monotonic() - started,
    )
    attention = attention_examples(arm_inputs, tested, units.of(test), config.shown_attention, config.seed, device)
    findings = replace(
        findings, external=external, generators=generators, attention=attention, large_images=large_images
    )
    return _write(findings, predictions, test, Path(report), Path(metrics), started)


def _published(config: EvaluateConfig, device: torch.device, dtype: torch.dtype) -> list[Extractor]:
    return published_extractors(config.inception_weights, config.inception_sha256, config.encoders, device, dtype)


def _study(
    config: EvaluateConfig,
    predictions: Sequence[ArmPredictions],
    patches: PatchSet,
    units: TestUnits,
    reference: str,
    score: str,
    score_reason: str = "",
) -> StudyFindings:
    return build_study(
        predictions,
        patches,
        units.of(patches),
        units.name,
        reference=reference,
        score=score,
        score_reason=score_reason,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )


def _test_externally(
    config: EvaluateConfig, real: PatchSet, arms: Sequence[ArmInput], internal: StudyFindings, device: torch.device
) -> ExternalFindings:
    """Test all arms on the external source, in the score of the internal test.

    The classifiers of a run in all folds are tested together, by their mean probability.
    """
    dtype = resolve_precision(config.precision, device)
    with external_patches(config.test_source, real, config.test_patient_pattern) as patches:
        on_device = DevicePatches.load(patches, device)
        tested = TestPatches(patches, dict.fromkeys(arms[0].folds, np.arange(len(patches))))
        predictions, _ = predict_arms(arms, on_device, tested, config.batch_size, dtype)
        units = test_units(patches)
        study = _study(config, predictions, patches, units, internal.reference, internal.score)
        say(f"evaluate: {len(arms)} arms compared on {len(patches)} external test patches")
        return ExternalFindings(
            source=config.test_source,
            source_digest=str(patches.info.made_by.get("source_digest") or ""),
            counts=dict(zip(patches.classes, patches.counts.tolist(), strict=True)),
            units=units_by_class(patches, units),
            study=study,
            warnings=external_warnings(patches, real, units),
        )


def path_list(paths: Paths) -> list[Path]:
    """Return an input as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths or ()))


def _settings(config: EvaluateConfig, device: torch.device) -> ComparisonSettings:
    return ComparisonSettings(
        metric_patches=config.metric_patches,
        copy_patches=config.copy_patches,
        map_patches=config.map_patches,
        shown_pairs=config.shown_pairs,
        neighbours=config.neighbours,
        batch_size=config.batch_size,
        seed=config.seed,
        device=device,
    )


def _write(
    findings: Findings,
    predictions: Sequence[ArmPredictions],
    test: PatchSet,
    report: Path,
    metrics: Path,
    started: float,
) -> EvaluateSummary:
    n_units = findings.units["test"][""]
    answer = study_answer(findings.study, len(test), n_units, study_caveats(findings))
    answer = unified_answer(findings.study, with_control(answer, findings.study), len(test))
    external = [] if findings.external is None else external_lines(findings.external)
    answer = replace(answer, lines=[*answer.lines, *external[:1]])
    record = AnswerRecord(
        score=findings.study.score,
        score_reason=findings.study.score_reason,
        reference=answer.reference,
        **vars(answer),
    )
    write_json(metrics, evaluation_results(findings, record, external).as_json())
    size = write_page(report, build_study_page(findings, answer))
    for text in (answer.headline, *answer.caveats):
        say(f"evaluate: {text}")
    say(f"evaluate: wrote {report} ({size / 1e6:.1f} MB)")
    best = next(each for each in predictions if each.arm.name == answer.best)
    effect = answer.difference.overall if answer.difference else None
    return EvaluateSummary(
        verdict=answer.verdict,
        answer=[answer.headline, *answer.lines],
        caveats=answer.caveats,
        score=findings.study.score,
        best=answer.best,
        reference=answer.reference,
        difference=effect.difference if effect else None,
        low=effect.low if effect else None,
        high=effect.high if effect else None,
        external=external,
        test_patches=len(test),
        test_units=n_units,
        metrics=flat_metrics(findings),
        confusion=_confusion(findings, answer.best),
        roc=_roc(best, test),
        markdown=study_markdown(findings, answer),
        warnings=list(findings.warnings),
        seconds=round(time.monotonic() - started, 2),
    )


def _confusion(findings: Findings, arm: str) -> Confusion:
    runs = findings.study.arm(arm).runs
    return Confusion(categories=findings.classes, matrix=np.sum([run.confusion for run in runs], axis=0).tolist())


def _roc(best: ArmPredictions, test: PatchSet) -> Roc | None:
    """Return the curve of all pooled seeds; for more than two classes, all classes are pooled too."""
    classes = len(test.classes)
    shown = [1] if classes == 2 else list(range(classes))
    scores = np.concatenate([p[:, label] for p in best.probabilities for label in shown])
    positive = np.concatenate([test.labels == label for _ in best.probabilities for label in shown])
    curve = roc_curve("pooled", positive, scores)
    if curve is None:
        return None
    return Roc(fpr=curve.false_positive_rate, tpr=curve.true_positive_rate, threshold=curve.thresholds)
