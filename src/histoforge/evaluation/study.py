"""Evaluate arms on the test split: predictions, scores with their intervals, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.evaluation.inputs import ArmInput
from histoforge.evaluation.study_findings import (
    ArmFindings,
    ClassifierTraining,
    ControlFindings,
    Difference,
    PatientRow,
    Score,
    StudyFindings,
)
from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import SCORES, classification_metrics, statistic
from histoforge.metrics.compare import holm, paired_effect, sample_std
from histoforge.metrics.crossed import CrossedEffect, Jackknife, crossed_difference
from histoforge.metrics.price import price
from histoforge.metrics.results import Effect, Statistic
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.training.device import autocast

Probabilities = NDArray[np.float64]
RESAMPLES_PER_ARM = 200
"""Keeps the smallest p-value, 2 / resamples, below 0.05 after Holm's correction over many arms."""
COMPARED = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "precision", "f1")


@dataclass(frozen=True)
class ArmPredictions:
    """An arm and its probabilities on the test split, [N, C] for each of its seeds in ascending order."""

    arm: ArmInput
    probabilities: list[Probabilities]


@torch.inference_mode()
def predict(classifier: Classifier, patches: DevicePatches, batch_size: int, dtype: torch.dtype) -> Probabilities:
    """Return the probabilities float64 [N, C] of all patches; each row sums to 1."""
    probabilities = []
    for rows in torch.arange(len(patches)).split(batch_size):
        with autocast(patches.device, dtype):
            logits = classifier(patches.batch(rows).images)
        probabilities.append(logits.double().softmax(1).cpu())
    return torch.cat(probabilities).numpy()


def build_study(
    predictions: Sequence[ArmPredictions],
    test: PatchSet,
    units: NDArray[Any],
    units_name: str,
    *,
    reference: str,
    score: str,
    confidence: float,
    resamples: int,
    seed: int,
) -> StudyFindings:
    """Compute all scores of all arms, and each arm's differences from the reference.

    Args:
        predictions: the arms, including the reference.
        test: the test split.
        units: the patient (slide, image) of each test patch, [N].
        units_name: 'patients', 'slides' or 'images'.
        score: the score that decides the answer.
    """
    bootstrap = PatientBootstrap(units, max(resamples, RESAMPLES_PER_ARM * len(predictions)), seed, confidence)
    statistics = {
        each.arm.name: {
            name: [statistic(name, probabilities, test.labels) for probabilities in each.probabilities]
            for name in SCORES
        }
        for each in predictions
    }
    arms = [_arm(each, test, bootstrap, statistics[each.arm.name]) for each in predictions]
    study = StudyFindings(
        score=score,
        reference=reference,
        units=units_name,
        confidence=confidence,
        arms=arms,
        differences=[],
        patients=_patients(predictions, test, units),
    )
    jackknife = Jackknife(units, seed)
    study.differences.extend(_differences(study, statistics, bootstrap, jackknife))
    held_back = str((test.info.made_by.get("summary") or {}).get("control_by", ""))
    return replace(study, control=_control(study, statistics, bootstrap, jackknife, held_back))


def _arm(
    predictions: ArmPredictions, test: PatchSet, bootstrap: PatientBootstrap, statistics: Mapping[str, list[Statistic]]
) -> ArmFindings:
    arm = predictions.arm.document
    runs = [
        classification_metrics(probabilities, test.labels, test.classes) for probabilities in predictions.probabilities
    ]
    trained = sorted(arm["runs"], key=lambda run: run["seed"])
    return ArmFindings(
        name=predictions.arm.name,
        factors=predictions.arm.factors,
        seeds=predictions.arm.seeds,
        counts=arm.get("counts", {}),
        scores={name: _score(name, runs, statistics[name], bootstrap) for name in SCORES},
        runs=runs,
        histories=[run.get("history", []) for run in trained],
        training=ClassifierTraining(
            epochs=[run.get("epochs") for run in trained],
            best_epochs=[run.get("best_epoch") for run in trained],
            steps=[run.get("steps") for run in trained],
            seconds=[run.get("seconds", 0.0) for run in trained],
            models=[run.get("digest", "") for run in trained],
            method=arm.get("method", ""),
            config=arm.get("config", {}),
            digests=arm.get("digests", {}),
        ),
    )


def _score(name: str, runs: Sequence[Any], statistics: list[Statistic], bootstrap: PatientBootstrap) -> Score:
    seeds = [getattr(run, name) for run in runs]
    known = [value for value in seeds if value is not None]
    if len(known) < len(seeds):
        return Score(None, None, None, None, seeds)
    interval = bootstrap.interval(mean_statistic(statistics))
    return Score(float(np.mean(known)), sample_std(known), interval.low, interval.high, seeds)


def _differences(
    study: StudyFindings,
    statistics: Mapping[str, Mapping[str, list[Statistic]]],
    bootstrap: PatientBootstrap,
    jackknife: Jackknife,
) -> list[Difference]:
    """Compare each arm with the reference, and 'selective' with 'gan', in all scores for which higher is better."""
    pairs = [(arm.name, study.reference_of(arm)) for arm in study.challengers]
    names = {arm.name for arm in study.arms}
    extra = [("selective", "gan")] if {"selective", "gan"} <= names and study.reference != "gan" else []
    differences = []
    for score in COMPARED:
        overall = _overall(study, statistics, jackknife, score, [*pairs, *extra])
        effects = [_effects(study, statistics, bootstrap, score, *pair) for pair in pairs]
        corrected = list(zip(_corrected([e[0] for e in effects]), _corrected([e[1] for e in effects]), strict=True))
        corrected += [_effects(study, statistics, bootstrap, score, *pair) for pair in extra]
        differences += [
            Difference(*pair, score, *separate, together)  # type: ignore[arg-type]
            for pair, separate, together in zip([*pairs, *extra], corrected, overall, strict=True)
        ]
    return differences


def _control(
    study: StudyFindings,
    statistics: Mapping[str, Mapping[str, list[Statistic]]],
    bootstrap: PatientBootstrap,
    jackknife: Jackknife,
    held_back: str,
) -> ControlFindings | None:
    """Compare the positive control with the reference, and price the synthetic patches by it; None without one."""
    controls = sorted(
        (arm for arm in study.arms if arm.control and study.reference_of(arm) == study.reference),
        key=lambda arm: arm.control,
    )
    if not controls:
        return None
    differences = []
    for score in COMPARED:
        for arm in controls:
            overall = _overall(study, statistics, jackknife, score, [(arm.name, study.reference)])[0]
            separate = _effects(study, statistics, bootstrap, score, arm.name, study.reference)
            alone = overall.model_copy(update={"p_adjusted": None})
            differences.append(Difference(arm.name, study.reference, score, *separate, alone))
    runs = {
        arm.name: jackknife.score(statistics[arm.name][study.score], arm.generators)
        for arm in study.arms
        if study.reference_of(arm) == study.reference
    }
    curve = {arm.control: runs[arm.name] for arm in controls}
    prices = {
        arm.name: price(runs[arm.name], runs[study.reference], curve, study.confidence)
        for arm in study.challengers
        if arm.synthetic and arm.name in runs
    }
    added = {arm.name: arm.control for arm in controls}
    return ControlFindings(controls[-1].name, added, differences, prices, held_back)


def _overall(
    study: StudyFindings,
    statistics: Mapping[str, Mapping[str, list[Statistic]]],
    jackknife: Jackknife,
    score: str,
    pairs: Sequence[tuple[str, str]],
) -> list[CrossedEffect]:
    """Compare pairs of arms over patients and training runs together, with one correction for all of them."""
    names = dict.fromkeys(name for pair in pairs for name in pair)
    runs = {name: jackknife.score(statistics[name][score], study.arm(name).generators) for name in names}
    effects = [crossed_difference(runs[arm], runs[against], study.confidence) for arm, against in pairs]
    adjusted = holm([effect.p for effect in effects])
    return [effect.model_copy(update={"p_adjusted": p}) for effect, p in zip(effects, adjusted, strict=True)]


def _effects(
    study: StudyFindings,
    statistics: Mapping[str, Mapping[str, list[Statistic]]],
    bootstrap: PatientBootstrap,
    score: str,
    arm: str,
    against: str,
) -> tuple[Effect, Effect | None]:
    first, second = study.arm(arm), study.arm(against)
    over_patients = bootstrap.difference(
        mean_statistic(statistics[arm][score]), mean_statistic(statistics[against][score])
    )
    by_seed = dict(zip(first.seeds, first.scores[score].seeds, strict=True))
    baseline_by_seed = dict(zip(second.seeds, second.scores[score].seeds, strict=True))
    pairs = [(by_seed[seed], baseline_by_seed[seed]) for seed in by_seed if seed in baseline_by_seed]
    defined = [(value, baseline) for value, baseline in pairs if value is not None and baseline is not None]
    if not defined:
        return over_patients, None
    values, baseline_values = zip(*defined, strict=True)
    return over_patients, paired_effect(values, baseline_values, study.confidence)


def _corrected(effects: list[Effect | None]) -> list[Effect | None]:
    """Return the effects with Holm's correction over the arms."""
    adjusted = holm([effect.p if effect else None for effect in effects])
    return [
        effect.model_copy(update={"p_adjusted": p}) if effect else None
        for effect, p in zip(effects, adjusted, strict=True)
    ]


def _patients(predictions: Sequence[ArmPredictions], test: PatchSet, units: NDArray[Any]) -> list[PatientRow]:
    hit_rates = {
        each.arm.name: np.mean([p.argmax(1) == test.labels for p in each.probabilities], axis=0) for each in predictions
    }
    rows = []
    for unit in sorted(set(units)):
        rows_of_unit = units == unit
        counts = np.bincount(test.labels[rows_of_unit], minlength=len(test.classes))
        rows.append(
            PatientRow(
                patient=str(unit),
                patches=dict(zip(test.classes, counts.tolist(), strict=True)),
                accuracy={name: float(rates[rows_of_unit].mean()) for name, rates in hit_rates.items()},
            )
        )
    return rows
