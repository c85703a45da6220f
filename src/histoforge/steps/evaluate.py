"""Compare the arms on the test split, judge the synthetic patches, and write the report."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from histoforge.classifiers.arms import load_arm, load_judge
from histoforge.classifiers.network import Classifier
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.evaluation.build_findings import EvaluationInputs, build_findings
from histoforge.evaluation.findings import Findings
from histoforge.evaluation.inputs import ArmInput, data_warnings, open_arms, open_synthetic, test_units
from histoforge.evaluation.study import ArmPredictions, find_study, predict
from histoforge.evaluation.synthetic import SyntheticSets
from histoforge.metrics.extract import Extractor
from histoforge.metrics.inception import InceptionExtractor
from histoforge.metrics.roc import roc_curve
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.reports.layout.page import write_page
from histoforge.reports.record import as_markdown, as_record, flat_metrics
from histoforge.reports.study_page import build_page
from histoforge.reports.text.study_answer import Answer, answer
from histoforge.steps.evaluate_config import Confusion, EvaluateConfig, EvaluateSummary, Roc
from histoforge.training.device import resolve_device, resolve_precision
from histoforge.training.model_files import read_model_info


def run(
    config: EvaluateConfig,
    *,
    patches: Path,
    arms: Sequence[Path],
    generator: Path | None = None,
    pool: Path | None = None,
    selected: Path | None = None,
    overviews: Path | None = None,
    report: Path,
    metrics: Path,
) -> EvaluateSummary:
    """Evaluate the arms and the synthetic patches.

    Args:
        config: the settings.
        patches: patch set of real patches; its test split is read here and by no other step.
        arms: arm directories, in the order of the report (the reference comes first).
        generator: generator whose history and pictures are shown.
        pool: scored candidates, with their column 'kept'.
        selected: kept patches; used if there is no pool.
        overviews: overviews with the pictures of slides.
        report: the HTML page to write.
        metrics: the JSON file to write.

    Raises:
        HistoforgeError: if there is no test split or no arm, or the inputs do not belong together.
    """
    started = time.monotonic()
    device = resolve_device(config.device)
    real = PatchSet.open(patches)
    test = real.split("test")
    units = test_units(real)
    inputs, reference, warnings = open_arms(arms, real, config.reference)
    synthetic = _synthetic(pool, selected, real)
    inception = _inception(config, device) if synthetic is not None else []
    if generator is not None:
        read_model_info(generator, "generator")
    warnings += data_warnings(real, inputs, units)
    predictions, extractors = _predict(config, inputs, test, device)
    study = find_study(
        predictions, test, units.of(test), units.name,
        reference=reference, score=config.score, confidence=config.confidence, resamples=config.resamples,
        seed=config.seed,
    )  # fmt: skip
    say(f"evaluate: {len(inputs)} arms compared on {len(test)} test patches")
    if synthetic is not None and len(extractors) < 2:
        warnings.append(
            "The baseline has no second seed and no judge of another architecture: the classifier that selected "
            "patches also judges them, which flatters."
        )
    materials = EvaluationInputs(
        real, test, units, inputs, study, [*extractors, *inception], synthetic, generator, overviews, warnings
    )
    found = build_findings(config, materials, device, started)
    return _write(config, found, predictions, test, report, metrics, started)


def _synthetic(pool: Path | None, selected: Path | None, real: PatchSet) -> SyntheticSets | None:
    candidates = open_synthetic(pool, real, "candidate pool") if pool else None
    chosen = open_synthetic(selected, real, "selection") if selected and candidates is None else None
    return SyntheticSets(candidates, chosen) if candidates is not None or chosen is not None else None


def _inception(config: EvaluateConfig, device: torch.device) -> list[Extractor]:
    if not config.inception_weights:
        return []
    return [InceptionExtractor(Path(config.inception_weights), device, config.inception_sha256 or None)]


def _predict(
    config: EvaluateConfig, arms: Sequence[ArmInput], test: PatchSet, device: torch.device
) -> tuple[list[ArmPredictions], list[Extractor]]:
    """Return the probabilities of all arms and seeds, and the extractors, loading each model once.

    The extractors are the reference's first two seeds and its judge of another architecture.
    """
    dtype = resolve_precision(config.precision, device)
    on_device = DevicePatches.load(test, device)
    predictions, extractors = [], []
    for place, arm in enumerate(arms):
        classifiers: list[Classifier] = load_arm(arm.path, device)
        for classifier in classifiers:
            classifier.check_fits(test.classes, test.patch_size, "the patch set")
        probabilities = [predict(classifier, on_device, config.batch_size, dtype) for classifier in classifiers]
        predictions.append(ArmPredictions(arm, probabilities))
        if place == 0:
            judge = load_judge(arm.path, device)
            extractors += [*classifiers[:2], *([] if judge is None else [judge])]
        say(f"evaluate: {arm.name}: {len(classifiers)} classifiers read {len(test)} test patches")
    return predictions, list(extractors)


def _write(
    config: EvaluateConfig,
    found: Findings,
    predictions: Sequence[ArmPredictions],
    test: PatchSet,
    report: Path,
    metrics: Path,
    started: float,
) -> EvaluateSummary:
    test_units = found.units["test"][""]
    said = answer(found.study, len(test), test_units)
    write_json(Path(metrics), as_record(found, said))
    size = write_page(Path(report), build_page(found, said))
    say(f"evaluate: {said.headline}")
    say(f"evaluate: wrote {report} ({size / 1e6:.1f} MB)")
    best = next(one for one in predictions if one.arm.name == said.best)
    effect = said.difference.over_patients if said.difference else None
    return EvaluateSummary(
        verdict=said.verdict,
        answer=[said.headline, *said.lines],
        score=config.score,
        best=said.best,
        reference=said.reference,
        difference=effect.difference if effect else None,
        low=effect.low if effect else None,
        high=effect.high if effect else None,
        test_patches=len(test),
        test_units=test_units,
        metrics=flat_metrics(found),
        confusion=_confusion(found, said),
        roc=_roc(best, test),
        markdown=as_markdown(found, said),
        warnings=list(found.warnings),
        seconds=round(time.monotonic() - started, 2),
    )


def _confusion(found: Findings, said: Answer) -> Confusion:
    runs = found.study.arm(said.best).runs
    return Confusion(categories=found.classes, matrix=np.sum([run.confusion for run in runs], axis=0).tolist())


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
