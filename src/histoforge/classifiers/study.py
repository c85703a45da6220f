"""Training of all seeds of an arm, in one task that can be killed and restarted."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from histoforge import __version__
from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.arms import ARM_NAME, JUDGE, SCHEMA_VERSION, seed_directory
from histoforge.classifiers.backbones.registry import find_backbone
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.training import FitState, Recipe, TrainingData, class_weights, fit
from histoforge.classifiers.weights import load_backbone, read_weights
from histoforge.core.errors import PatchSetError
from histoforge.core.files import atomic_directory
from histoforge.core.results import remove_work, work_beside
from histoforge.core.seals import write_sealed
from histoforge.core.seeds import derive_seed
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.patches.matching import check_same_format
from histoforge.training.device import resolve_device
from histoforge.training.engine import Engine
from histoforge.training.log import LOG_NAME
from histoforge.training.model_files import ModelInfo, save_model

NOT_IN_IDENTITY = ("device", "checkpoints", "checkpoint_every")
Use = Literal["both", "real", "synthetic"]
"""The patches that an arm is trained on."""


def train(
    arm: str,
    architecture: Architecture,
    recipe: Recipe,
    seeds: Sequence[int],
    patches: PatchSet,
    synthetic: PatchSet | None,
    out: Path,
    use: Use = "both",
) -> dict[str, Any]:
    """Train one classifier per seed and write the arm directory `out`: `arm.json` and `seed-<n>/` models.

    An arm of real patches without augmentation also gets the `judge/` that `architecture` names.

    Training uses only the real training split, only `synthetic`, or both. The real validation split chooses the epoch;
    the test split is not used. A4-12: the baseline arm can therefore serve as the extractor of selection and of FID.
    Checkpoints stay in `<out>.work` until the whole arm is written: a killed task resumes from there and ends with the
    same weights, bit for bit on a CPU.

    Args:
        arm: its name.
        architecture: the network.
        recipe: the hyper-parameters.
        seeds: one classifier is trained per seed (the paper runs five); a seed starts every arm from the same weights.
        patches: the real patches.
        synthetic: synthetic patches of the same classes and size, or None.
        out: the directory to write.
        use: patches to train on: 'both' (only the real ones if there is no `synthetic`), 'real' or 'synthetic'.

    Returns:
        The content of `arm.json`.

    Raises:
        PatchSetError: the train or val split is empty, `synthetic` has other classes or another patch size, or training
            uses only `synthetic` and it is not given or lacks a class.
        SettingsError: more layers are to train than the network has.
        ModelError: the initial weights do not fit.
        TrainingError: a loss is not finite.
    """
    if use == "real" or (use == "both" and synthetic is None):
        use, synthetic = "real", None
    data = load_data(patches, synthetic, resolve_device(recipe.device), use)
    start = read_weights(architecture.weights, architecture.weights_sha256) if architecture.weights else None
    info = describe(architecture, recipe, patches, _digests(patches, synthetic, start), use)
    judge = _judge(architecture, recipe, patches, use)
    trainings = [(seed_directory(seed), seed, info, start) for seed in seeds]
    trainings += [] if judge is None else [(JUDGE, seeds[0], judge, None)]
    work = work_beside(out, ".work")
    runs, engines = [], []
    with atomic_directory(out) as directory:
        for place, (name, seed, described, weights) in enumerate(trainings):
            engine = _engine(arm, recipe, described, seed, work / name, len(trainings) - place)
            classifier = build(described, weights[0] if weights else None, architecture.weights, seed)
            progress = FitState()
            fit(classifier.to(engine.device).to(memory_format=torch.channels_last), data, recipe, engine, progress)
            runs.append(_save(directory / name, arm, seed, classifier, engine, progress))
            engines.append(engine)
        result = _arm(arm, info, count(patches, synthetic), data, runs[: len(seeds)])
        if judge is not None:
            result[JUDGE] = runs[-1]
        result = write_sealed(directory / ARM_NAME, result, SCHEMA_VERSION)
    for engine in engines:
        engine.finish()
    remove_work(work)
    return result


def _judge(architecture: Architecture, recipe: Recipe, patches: PatchSet, use: Use) -> ModelInfo | None:
    """Describe the classifier of another architecture, if it is requested and the arm has plain real patches."""
    if not architecture.judge_backbone:
        return None
    find_backbone(architecture.judge_backbone)
    if use != "real" or recipe.augmentation != "none":
        return None
    other = replace(architecture, backbone=architecture.judge_backbone, weights="", trainable_layers=0)
    return describe(other, recipe, patches, _digests(patches, None, None))


def load_data(patches: PatchSet, synthetic: PatchSet | None, device: torch.device, use: Use = "both") -> TrainingData:
    """Load training and validation patches onto the device; the latter never include synthetic ones.

    Raises:
        PatchSetError: a split is empty, `synthetic` has other classes or another patch size, or training uses only
            `synthetic` and it is not given or lacks a class.
    """
    real, val = patches.split("train"), patches.split("val")
    weights = class_weights(real.counts)
    train_weights = weights
    if synthetic is not None:
        _check_synthetic(patches, synthetic)
    if use != "synthetic":
        train_patches = DevicePatches.load(real, device)
        if synthetic is not None:
            train_patches = _joined(train_patches, DevicePatches.load(synthetic, device))
    else:
        synthetic = _check_alone(synthetic)
        train_patches, train_weights = DevicePatches.load(synthetic, device), class_weights(synthetic.counts)
    return TrainingData(train_patches, DevicePatches.load(val, device), len(real), train_weights, weights)


def _joined(first: DevicePatches, second: DevicePatches) -> DevicePatches:
    home = first.images.device
    return DevicePatches(
        torch.cat([first.images, second.images.to(home)]),
        torch.cat([first.labels, second.labels.to(home)]),
        first.device,
    )


def describe(
    architecture: Architecture, recipe: Recipe, patches: PatchSet, digests: dict[str, str], use: Use = "real"
) -> ModelInfo:
    """Return the description that the arm's models share."""
    pretrained = bool(architecture.weights)
    backbone = find_backbone(architecture.backbone)
    backbone.check(architecture.backbone, patches.patch_size, architecture.width)
    config = {
        "stem": backbone.resolve_stem(architecture.stem, patches.patch_size, pretrained),
        "width": architecture.width,
        "dropout": architecture.dropout,
        "imagenet_normalisation": pretrained,
        "trainable_layers": architecture.trainable_layers,
        "head_width": architecture.head_width,
        "use": use,
        **{name: value for name, value in asdict(recipe).items() if name not in NOT_IN_IDENTITY},
    }
    return ModelInfo(
        kind="classifier",
        method=architecture.backbone,
        config=config,
        classes=patches.classes,
        patch_size=patches.patch_size,
        mpp=patches.info.mpp,
        digests=digests,
    )


def build(info: ModelInfo, weights: dict[str, Tensor] | None, source: str, seed: int) -> Classifier:
    """Build a classifier with the initial weights of `seed`, which are the same in every arm: arms are paired by seed.

    Args:
        info: the model's description.
        weights: initial weights of the backbone, or None for random ones.
        source: name of these weights in error messages.
        seed: seed of the random weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "classifier", "weights"))
        classifier = Classifier(info)
    if weights is not None:
        load_backbone(classifier.backbone, weights, source)
    return classifier


def count(patches: PatchSet, synthetic: PatchSet | None) -> dict[str, dict[str, int]]:
    """Count patches by use (train, val, synthetic) and class name."""
    used = {"train": patches.split("train"), "val": patches.split("val")}
    if synthetic is not None:
        used["synthetic"] = synthetic
    return {use: dict(zip(patches.classes, chosen.counts.tolist(), strict=True)) for use, chosen in used.items()}


def _digests(
    patches: PatchSet, synthetic: PatchSet | None, start: tuple[dict[str, Tensor], str] | None
) -> dict[str, str]:
    digests = {"patches": patches.digest}
    if synthetic is not None:
        digests["synthetic"] = synthetic.digest
    if start is not None:
        digests["weights"] = start[1]
    return digests


def _arm(
    arm: str, info: ModelInfo, counts: dict[str, dict[str, int]], data: TrainingData, runs: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "arm": arm,
        "seeds": [run["seed"] for run in runs],
        "method": info.method,
        "config": info.config,
        "classes": info.classes,
        "patch_size": list(info.patch_size),
        "digests": info.digests,
        "counts": counts,
        "class_weights": dict(zip(info.classes, data.class_weights.tolist(), strict=True)),
        "code_version": __version__,
        "runs": runs,
    }


def _check_synthetic(patches: PatchSet, synthetic: PatchSet) -> None:
    advice = "select patches of a generator that was trained on the real one"
    check_same_format("The synthetic patch set has", synthetic, "the real one", patches, advice, PatchSetError)


def _check_alone(synthetic: PatchSet | None) -> PatchSet:
    if synthetic is None:
        raise PatchSetError("use=synthetic trains on synthetic patches alone, and none are given: name a patch set.")
    for name, count in zip(synthetic.classes, synthetic.counts.tolist(), strict=True):
        if not count:
            raise PatchSetError(
                f"use=synthetic trains on synthetic patches alone, and there are none of the class '{name}': draw "
                "patches of every class, or choose use=both."
            )
    return synthetic


def _engine(arm: str, recipe: Recipe, info: ModelInfo, seed: int, work: Path, trainings: int) -> Engine:
    identity = {"step": "train_classifier", "arm": arm, "seed": seed, **info.model_dump(mode="json")}
    return Engine(
        work,
        identity,
        device=recipe.device,
        precision=recipe.precision,
        seed=seed,
        checkpoints=recipe.checkpoints,
        checkpoint_every=recipe.checkpoint_every,
        label=f"{arm} {work.name}".replace("seed-", "seed "),
        trainings=trainings,
        stream="classifier",  # arms are paired by seed: equal patches give equal classifiers, whatever the arm's name
    )


def _save(
    path: Path, arm: str, seed: int, classifier: Classifier, engine: Engine, progress: FitState
) -> dict[str, Any]:
    run = {
        "arm": arm,
        "seed": seed,
        "best_epoch": progress.best_epoch,
        "epochs": len(progress.history),
        "steps": engine.global_step,
        **progress.history[progress.best_epoch - 1],
        "seconds": round(progress.seconds, 2),
        "device": str(engine.device),
        "precision": str(engine.dtype).removeprefix("torch."),
    }

    def add_log(directory: Path) -> None:
        if (engine.work / LOG_NAME).is_file():
            shutil.copy(engine.work / LOG_NAME, directory / LOG_NAME)

    info = save_model(path, classifier.info.model_copy(update={"training": run}), classifier.state_dict(), add_log)
    return {**run, "model": path.name, "digest": info.digest, "history": progress.history}
