"""Training of all seeds of an arm, in one task that can be killed and restarted."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histoforge import __version__
from histoforge.classifiers.architecture import Architecture
from histoforge.classifiers.arm_files import ARM_NAME, JUDGE, SCHEMA_VERSION, seed_directory
from histoforge.classifiers.arms import arm_origin
from histoforge.classifiers.backbones.registry import find_backbone, input_size
from histoforge.classifiers.data import TrainingData, Use, control_patches, count_patches, load_data
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.probing import LinearProbe, embedder
from histoforge.classifiers.training import FitState, Recipe, fit
from histoforge.classifiers.weights import load_backbone, read_weights
from histoforge.core.files import atomic_directory
from histoforge.core.results import remove_work, work_beside
from histoforge.core.seals import write_sealed
from histoforge.core.seeds import derive_seed
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.training.device import resolve_device
from histoforge.training.engine import Engine
from histoforge.training.log import LOG_NAME
from histoforge.training.model_files import ModelInfo, save_model

NOT_IN_IDENTITY = ("device", "checkpoints", "checkpoint_every")


@dataclass(frozen=True)
class _Training:
    """One training of an arm: that of a seed, or that of the judge.

    Attributes:
        name: name of the model directory.
        seed: its seed.
        info: the model's description.
        weights: initial weights of the backbone, or None for random ones.
    """

    name: str
    seed: int
    info: ModelInfo
    weights: dict[str, Tensor] | None


def train(
    arm: str,
    architecture: Architecture,
    recipe: Recipe,
    seeds: Sequence[int],
    patches: PatchSet,
    synthetic: PatchSet | None,
    out: Path,
    use: Use = "both",
    factors: Mapping[str, float | str] | None = None,
    control_ratio: float = 0.5,
) -> dict[str, Any]:
    """Train one classifier per seed and write the arm directory `out`: `arm.json` and `seed-<n>/` models.

    An arm of real patches without augmentation also gets the `judge/` that `architecture` names.

    With the backbone 'encoder' and without augmentation, the patches are embedded once, and each training is that of a
    linear probe on the embeddings.

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
        use: patches to train on: 'both' (only the real ones if there is no `synthetic`), 'real', 'synthetic', or
            'control' (the real ones, and real ones that were held back, as many as `control_patches` returns).
        factors: what sets the arm apart in a study of factors, for `arm.json`.
        control_ratio: see `control_patches`.

    Returns:
        The content of `arm.json`.

    Raises:
        PatchSetError: the train or val split is empty, `synthetic` has other classes or another patch size, training
            uses only `synthetic` and it is not given or lacks a class, or no patches are held back for 'control'.
        SettingsError: the backbone does not exist, cannot process the patches, or has fewer layers than are to train.
        ModelError: the initial weights do not fit.
        TrainingError: a loss is not finite.
    """
    if use == "real" or (use == "both" and synthetic is None):
        use, synthetic = "real", None
    added = control_patches(patches, control_ratio) if use == "control" else synthetic
    probing = bool(architecture.encoder) and recipe.augmentation == "none"
    device = resolve_device(recipe.device)
    load = embedder(architecture, device, recipe.precision) if probing else DevicePatches.load
    data = load_data(patches, added, device, use, load)
    trainings = _plan(architecture, recipe, seeds, patches, added, use)
    work = work_beside(out, ".work")
    runs, engines = [], []
    with atomic_directory(out) as directory:
        for index, training in enumerate(trainings):
            classifier = build(training.info, training.weights, architecture.weights, training.seed)
            engine = _engine(arm, recipe, training, work, len(trainings) - index)
            classifier = classifier.to(engine.device).to(memory_format=torch.channels_last)
            progress = FitState()
            if not probing:
                fit(classifier, data, recipe, engine, progress)
            elif training.name == JUDGE:
                fit(classifier, load_data(patches, added, device, use), recipe, engine, progress)
            else:
                fit(LinearProbe(classifier), data, recipe, engine, progress)
            runs.append(_save(directory / training.name, arm, training.seed, classifier, engine, progress))
            engines.append(engine)
        content = _arm_content(arm, trainings[0].info, count_patches(patches, added, use), data, runs[: len(seeds)])
        content |= arm_origin(patches, None if use == "control" else synthetic)
        if factors:
            content["factors"] = dict(factors)
        if len(runs) > len(seeds):
            content[JUDGE] = runs[-1]
        result = write_sealed(directory / ARM_NAME, content, SCHEMA_VERSION)
    for engine in engines:
        engine.finish()
    remove_work(work)
    return result


def _plan(
    architecture: Architecture,
    recipe: Recipe,
    seeds: Sequence[int],
    patches: PatchSet,
    added: PatchSet | None,
    use: Use,
) -> list[_Training]:
    """List the trainings of an arm: one per seed, and that of the judge if the arm has one."""
    if architecture.judge_backbone:
        find_backbone(architecture.judge_backbone)
    weights, digests = None, {"patches": patches.digest}
    if added is not None and use == "control":
        digests["control"] = added.rows_digest
    elif added is not None:
        digests["synthetic"] = added.digest
    if architecture.weights:
        weights, digests["weights"] = read_weights(architecture.weights, architecture.weights_sha256)
    info = describe(architecture, recipe, patches, digests, use)
    trainings = [_Training(seed_directory(seed), seed, info, weights) for seed in seeds]
    if architecture.judge_backbone and use == "real" and recipe.augmentation == "none":
        other = replace(architecture, backbone=architecture.judge_backbone, weights="", trainable_layers=0, encoder={})
        judge = describe(other, recipe, patches, {"patches": patches.digest})
        trainings.append(_Training(JUDGE, seeds[0], judge, None))
    return trainings


def describe(
    architecture: Architecture, recipe: Recipe, patches: PatchSet, digests: dict[str, str], use: Use = "real"
) -> ModelInfo:
    """Return the description that the arm's models share."""
    pretrained = bool(architecture.weights)
    backbone = find_backbone(architecture.backbone)
    size = input_size(patches.patch_size, architecture.input_size)
    backbone.check(architecture.backbone, size, architecture.width)
    config = {
        "stem": backbone.resolve_stem(architecture.stem, size, pretrained),
        "width": architecture.width,
        "dropout": architecture.dropout,
        "imagenet_normalisation": pretrained,
        "trainable_layers": architecture.trainable_layers,
        "head_width": architecture.head_width,
        **({"input_size": architecture.input_size} if architecture.input_size else {}),
        **{name: getattr(architecture, name) for name in backbone.settings},
        "use": use,
        **{name: value for name, value in asdict(recipe).items() if name not in NOT_IN_IDENTITY},
        **({"fold": patches.fold} if patches.fold >= 0 else {}),
    }
    return ModelInfo(
        kind="classifier",
        method=architecture.backbone,
        config=config,
        classes=patches.classes,
        patch_size=patches.patch_size,
        mpp=patches.info.mpp,
        training={"stain": patches.stain},
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


def _arm_content(
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


def _engine(arm: str, recipe: Recipe, training: _Training, work: Path, remaining: int) -> Engine:
    """Build the engine of a training, which is the first of `remaining` ones."""
    identity = {"step": "train_classifier", "arm": arm, "seed": training.seed, **training.info.model_dump(mode="json")}
    return Engine(
        work / training.name,
        identity,
        device=recipe.device,
        precision=recipe.precision,
        seed=training.seed,
        checkpoints=recipe.checkpoints,
        checkpoint_every=recipe.checkpoint_every,
        label=f"{arm} {training.name}".replace("seed-", "seed "),
        trainings=remaining,
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

    described = classifier.info.model_copy(update={"training": {**classifier.info.training, **run}})
    info = save_model(path, described, classifier.state_dict(), add_log)
    return {**run, "model": path.name, "digest": info.digest, "history": progress.history}
