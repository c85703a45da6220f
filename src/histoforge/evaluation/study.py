"""Evaluate arms on the test split: predictions, scores with their intervals, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.network import Classifier
from histoforge.core.timings import spent
from histoforge.evaluation.arm_inputs import ArmInput
from histoforge.evaluation.comparisons import Planned, compare
from histoforge.evaluation.learning import LearningTest
from histoforge.evaluation.study_findings import (
    ArmFindings,
    ClassifierTraining,
    ControlFindings,
    Difference,
    PatientRow,
    Score,
    StudyFindings,
)
from histoforge.evaluation.unified import further_pairs
from histoforge.metrics.bootstrap import PatientBootstrap, mean_statistic
from histoforge.metrics.classification import SCORES, class_statistics, classification_metrics, statistic
from histoforge.metrics.compare import holm, paired_effect, sample_std
from histoforge.metrics.crossed import crossed_difference
from histoforge.metrics.crossed_mean import crossed_mean
from histoforge.metrics.price import price
from histoforge.metrics.results import Effect, Statistic
from histoforge.metrics.scored_runs import Jackknife, ScoredRuns
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.training.device import autocast

Probabilities = NDArray[np.float64]
RESAMPLES_PER_ARM = 200
"""Keeps the smallest p-value, 2 / resamples, below 0.05 after Holm's correction over many arms."""
COMPARED = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "precision", "f1")


@dataclass(frozen=True)
class ArmPredictions:
    """An arm and its probabilities of all tested patches, [N, C] for each of its runs in their order."""

    arm: ArmInput
    probabilities: list[Probabilities]


@torch.inference_mode()
def predict(
    classifier: Classifier,
    patches: DevicePatches,
    batch_size: int,
    dtype: torch.dtype,
    only: NDArray[np.int64] | None = None,
) -> Probabilities:
    """Return the probabilities of all patches, or of `only` some rows, float64 [N, C]; each row sums to 1."""
    probabilities = []
    wanted = torch.arange(len(patches)) if only is None else torch.from_numpy(only)
    for rows in wanted.split(batch_size):
        with autocast(patches.device, dtype), spent("compute", patches=len(rows)):
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
    score_reason: str = "",
) -> StudyFindings:
    """Compute all scores of all arms, and each arm's differences from the reference.

    Args:
        predictions: the arms, including the reference.
        test: the tested patches; with folds, those of all folds.
        units: the patient (slide, image) of each test patch, [N].
        units_name: 'patients', 'slides' or 'images'.
        score: the score that decides the answer.
        score_reason: why this score; '' if it was given.
    """
    bootstrap = PatientBootstrap(units, max(resamples, RESAMPLES_PER_ARM * len(predictions)), seed, confidence)
    jackknife = Jackknife(units, seed)
    statistics = {
        each.arm.name: {
            name: [statistic(name, probabilities, test.labels) for probabilities in each.probabilities]
            for name in SCORES
        }
        for each in predictions
    }
    learning = LearningTest(test.labels, test.classes, jackknife)
    arms, scored = [], {}
    for each in predictions:
        arm = _arm(each, test)
        runs = {name: jackknife.score(of_runs, arm.generators) for name, of_runs in statistics[arm.name].items()}
        scores = {
            name: _score([getattr(run, name) for run in arm.runs], runs[name], confidence, 2 if name == "brier" else 1)
            for name in SCORES
        }
        class_f1, macro_f1 = _f1(arm, each.probabilities, test, jackknife, confidence)
        above = learning.above(runs, confidence)
        arms.append(replace(arm, scores=scores, above_constant=above, class_f1=class_f1, macro_f1=macro_f1))
        scored[arm.name] = runs
    study = StudyFindings(
        score=score,
        reference=reference,
        units=units_name,
        confidence=confidence,
        arms=arms,
        differences=[],
        patients=_patients(predictions, test, units),
        constant=learning.constant,
        score_reason=score_reason,
    )
    _compare(study, scored, statistics, bootstrap)
    held_back = str((test.info.made_by.get("summary") or {}).get("control_by", ""))
    return replace(study, control=_control(study, scored, statistics, bootstrap, held_back))


def _arm(predictions: ArmPredictions, test: PatchSet) -> ArmFindings:
    """Return an arm with the metrics of its runs, without scores over all of them."""
    arm, document = predictions.arm, predictions.arm.document
    runs = [
        classification_metrics(probabilities, test.labels, test.classes) for probabilities in predictions.probabilities
    ]
    classifiers = [(part, run.seed) for run in arm.runs for part in arm.parts_of(run)]
    trained = [part.training(seed) for part, seed in classifiers]
    return ArmFindings(
        name=arm.name,
        factors=arm.factors,
        seeds=arm.seeds,
        generator_seeds=[run.generator_seed for run in arm.runs],
        generators=[arm.generator_of(run) for run in arm.runs],
        folds=[fold for fold in arm.folds if fold >= 0],
        counts=document.get("counts", {}),
        scores={},
        runs=runs,
        histories=[run.get("history", []) for run in trained],
        training=ClassifierTraining(
            epochs=[run.get("epochs") for run in trained],
            best_epochs=[run.get("best_epoch") for run in trained],
            steps=[run.get("steps") for run in trained],
            seconds=[run.get("seconds", 0.0) for run in trained],
            models=[run.get("digest", "") for run in trained],
            seeds=[seed for _, seed in classifiers],
            folds=[part.fold for part, _ in classifiers],
            generator_seeds=[part.generator_seed for part, _ in classifiers],
            method=document.get("method", ""),
            config=dict(document.get("config", {})),
            digests=dict(document.get("digests", {})),
        ),
    )


def _f1(
    arm: ArmFindings, probabilities: Sequence[Probabilities], test: PatchSet, jackknife: Jackknife, confidence: float
) -> tuple[dict[str, Score], Score]:
    """Return the F1 of each class, by its name, and their unweighted mean."""
    statistics = zip(*(class_statistics("f1", each, test.labels) for each in probabilities), strict=True)
    values = zip(*([row.f1 for row in (*run.classes, run.macro)] for run in arm.runs), strict=True)
    *of_classes, macro = (
        _score(of_runs, jackknife.score(scored, arm.generators), confidence)
        for of_runs, scored in zip(values, statistics, strict=True)
    )
    return dict(zip(test.classes, of_classes, strict=True)), macro


def _score(seeds: Sequence[float | None], scored: ScoredRuns, confidence: float, highest: float = 1) -> Score:
    """Return the score of each run, their mean, and its interval within [0, highest]."""
    defined = [value for value in seeds if value is not None]
    if len(defined) < len(seeds):
        return Score(None, None, None, None, list(seeds), "the score is undefined")
    interval = crossed_mean(scored, confidence)
    low, high = interval.low, interval.high
    if low is not None and high is not None:
        low, high = max(low, 0.0), min(high, highest)
    return Score(float(np.mean(defined)), sample_std(defined), low, high, list(seeds), interval.note)


def _compare(
    study: StudyFindings,
    scored: Mapping[str, Mapping[str, ScoredRuns]],
    statistics: Mapping[str, Mapping[str, list[Statistic]]],
    bootstrap: PatientBootstrap,
) -> None:
    """Compare the arms in all scores for which higher is better, and add the differences to the study.

    One correction covers all comparisons in a score: each arm with its reference, arms with synthetic patches with
    all arms without them, and 'selective' with 'gan'. The positive control stays outside.
    """
    plan = [Planned(arm.name, study.reference_of(arm), tuple(study.rivals_of(arm))) for arm in study.challengers]
    if {"selective", "gan"} <= scored.keys() and study.reference != "gan":
        plan.append(Planned("selective", "gan"))
    plan += [Planned(*pair) for pair in further_pairs(study.arms)]
    for score in COMPARED:
        runs = {name: of_arm[score] for name, of_arm in scored.items()}
        compared = compare(runs, plan, score, study.confidence)
        pairs = [(planned.arm, planned.against) for planned in plan]
        effects = [_effects(study, statistics, bootstrap, score, *pair) for pair in pairs]
        corrected = list(zip(_corrected([e[0] for e in effects]), _corrected([e[1] for e in effects]), strict=True))
        study.differences.extend(
            Difference(*pair, score, *separate, together.effect)  # type: ignore[arg-type]  # unpacked
            for pair, separate, together in zip(pairs, corrected, compared, strict=True)
        )
        study.against_all.extend(each.against_all for each in compared if each.against_all is not None)


def _control(
    study: StudyFindings,
    scored: Mapping[str, Mapping[str, ScoredRuns]],
    statistics: Mapping[str, Mapping[str, list[Statistic]]],
    bootstrap: PatientBootstrap,
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
            overall = crossed_difference(scored[arm.name][score], scored[study.reference][score], study.confidence)
            separate = _effects(study, statistics, bootstrap, score, arm.name, study.reference)
            differences.append(Difference(arm.name, study.reference, score, *separate, overall))
    runs = {arm.name: scored[arm.name][study.score] for arm in study.arms if study.reference_of(arm) == study.reference}
    curve = {arm.control: runs[arm.name] for arm in controls}
    prices = {
        arm.name: price(runs[arm.name], runs[study.reference], curve, study.confidence)
        for arm in study.challengers
        if arm.synthetic and arm.name in runs
    }
    added = {arm.name: arm.control for arm in controls}
    return ControlFindings(controls[-1].name, added, differences, prices, held_back)


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
    pairs = _paired_scores(first, second, score)
    defined = [(value, baseline) for value, baseline in pairs if value is not None and baseline is not None]
    if not defined:
        return over_patients, None
    values, baseline_values = zip(*defined, strict=True)
    return over_patients, paired_effect(values, baseline_values, study.confidence)


def _paired_scores(first: ArmFindings, second: ArmFindings, score: str) -> list[tuple[float | None, float | None]]:
    """Return the scores of two arms by run, or as means by seed if the arms have other generators."""
    scores_of_first, scores_of_second = (
        dict(zip(arm.run_keys, arm.scores[score].seeds, strict=True)) for arm in (first, second)
    )
    if set(scores_of_first) == set(scores_of_second):
        return [(scores_of_first[run], scores_of_second[run]) for run in scores_of_first]
    seeds = {seed for _, seed in scores_of_first} & {seed for _, seed in scores_of_second}
    return [(_mean_of_seed(scores_of_first, seed), _mean_of_seed(scores_of_second, seed)) for seed in sorted(seeds)]


def _mean_of_seed(scores: Mapping[tuple[int | None, int], float | None], seed: int) -> float | None:
    values = [value for (_, other), value in scores.items() if other == seed]
    return None if None in values else float(np.mean(values))  # type: ignore[arg-type]  # no None among them


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
