"""Evaluate arms on the test split: predictions, scores with their intervals, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.evaluation.findings import ArmFindings, ClassifierTraining, Difference, PatientRow, Score, StudyFindings
from histoforge.evaluation.inputs import ArmInput
from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import SCORES, classification_metrics, statistic
from histoforge.metrics.compare import holm, paired_effect, sample_std
from histoforge.metrics.results import Effect, Statistic
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.training.device import autocast

Probabilities = NDArray[np.float64]
RESAMPLES_AN_ARM = 200
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
    found = []
    for rows in torch.arange(len(patches)).split(batch_size):
        with autocast(patches.device, dtype):
            logits = classifier(patches.batch(rows).images)
        found.append(logits.double().softmax(1).cpu())
    return torch.cat(found).numpy()


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
    bootstrap = PatientBootstrap(units, max(resamples, RESAMPLES_AN_ARM * len(predictions)), seed, confidence)
    statistics = {
        one.arm.name: {
            name: [statistic(name, probabilities, test.labels) for probabilities in one.probabilities]
            for name in SCORES
        }
        for one in predictions
    }
    arms = [_arm(one, test, bootstrap, statistics[one.arm.name]) for one in predictions]
    study = StudyFindings(
        score=score,
        reference=reference,
        units=units_name,
        confidence=confidence,
        arms=arms,
        differences=[],
        patients=_patients(predictions, test, units),
    )
    study.differences.extend(_differences(study, statistics, bootstrap))
    return study


def _arm(
    one: ArmPredictions, test: PatchSet, bootstrap: PatientBootstrap, statistics: Mapping[str, list[Statistic]]
) -> ArmFindings:
    arm = one.arm.document
    runs = [classification_metrics(probabilities, test.labels, test.classes) for probabilities in one.probabilities]
    trained = sorted(arm["runs"], key=lambda run: run["seed"])
    return ArmFindings(
        name=one.arm.name,
        factors=one.arm.factors,
        seeds=one.arm.seeds,
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
    found = bootstrap.interval(mean_statistic(statistics))
    return Score(float(np.mean(known)), sample_std(known), found.low, found.high, seeds)


def _differences(
    study: StudyFindings, statistics: Mapping[str, Mapping[str, list[Statistic]]], bootstrap: PatientBootstrap
) -> list[Difference]:
    """Compare each arm with the reference, and 'selective' with 'gan', in all scores for which higher is better."""
    pairs = [(arm.name, study.reference_of(arm)) for arm in study.challengers]
    names = {arm.name for arm in study.arms}
    extra = [("selective", "gan")] if {"selective", "gan"} <= names and study.reference != "gan" else []
    found = []
    for score in COMPARED:
        effects = [_effects(study, statistics, bootstrap, score, *pair) for pair in pairs]
        corrected = zip(_corrected([e[0] for e in effects]), _corrected([e[1] for e in effects]), strict=True)
        found += [
            Difference(arm, against, score, *both)  # type: ignore[arg-type]
            for (arm, against), both in zip(pairs, corrected, strict=True)
        ]
        found += [
            Difference(arm, against, score, *_effects(study, statistics, bootstrap, score, arm, against))
            for arm, against in extra
        ]
    return found


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
    mine = dict(zip(first.seeds, first.scores[score].seeds, strict=True))
    theirs = dict(zip(second.seeds, second.scores[score].seeds, strict=True))
    values = [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    known = [(a, b) for a, b in values if a is not None and b is not None]
    if not known:
        return over_patients, None
    ours, others = zip(*known, strict=True)
    return over_patients, paired_effect(ours, others, study.confidence)


def _corrected(effects: list[Effect | None]) -> list[Effect | None]:
    """Return the effects with Holm's correction over the arms."""
    adjusted = holm([effect.p if effect else None for effect in effects])
    return [
        effect.model_copy(update={"p_adjusted": p}) if effect else None
        for effect, p in zip(effects, adjusted, strict=True)
    ]


def _patients(predictions: Sequence[ArmPredictions], test: PatchSet, units: NDArray[Any]) -> list[PatientRow]:
    right = {
        one.arm.name: np.mean([p.argmax(1) == test.labels for p in one.probabilities], axis=0) for one in predictions
    }
    rows = []
    for unit in sorted(set(units)):
        own = units == unit
        counts = np.bincount(test.labels[own], minlength=len(test.classes))
        rows.append(
            PatientRow(
                patient=str(unit),
                patches=dict(zip(test.classes, counts.tolist(), strict=True)),
                accuracy={name: float(hits[own].mean()) for name, hits in right.items()},
            )
        )
    return rows
