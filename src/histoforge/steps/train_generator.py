"""Train a generator of patches, and keep the weights of the epoch with the lowest smoothed FID."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histoforge.autoencoder.latents import LatentSet
from histoforge.autoencoder.network import Autoencoder, load_autoencoder
from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.network import Classifier
from histoforge.core.errors import SettingsError
from histoforge.core.results import work_beside
from histoforge.core.text import dimensions
from histoforge.generators.class_training import ClassTraining, class_trainings, limit_patches
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.methods import METHODS
from histoforge.generators.model_selection import FidScorer
from histoforge.generators.results import TrainingResult
from histoforge.generators.saving import save_class_generators, save_generator
from histoforge.metrics.extractor_check import check_extractor
from histoforge.patches import PatchSet
from histoforge.siamese.guide import Guide, load_guide
from histoforge.steps.step_engine import step_engine
from histoforge.steps.train_generator_config import (
    ClassSummary,
    TrainGeneratorConfig,
    TrainGeneratorSummary,
    method_config,
)
from histoforge.training.device import resolve_device, resolve_precision
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

NOT_IDENTITY = {"checkpoint_every", "checkpoints", "device", "nodes", "only_class"}
"""Parameters that do not change the result of a training, so that a retry may change them."""


@dataclass(frozen=True)
class LatentSpace:
    """Latents and the autoencoder that made them, with its description."""

    info: ModelInfo
    autoencoder: Autoencoder
    latents: LatentSet


@dataclass(frozen=True)
class FrozenNetworks:
    """The trained networks that a training uses: the extractor that chooses the epoch, and those of the method."""

    extractor: Classifier | None = None
    guide: Guide | None = None
    latent_space: LatentSpace | None = None

    @property
    def digests(self) -> dict[str, str]:
        """Their digests by name."""
        networks = {"extractor": self.extractor, "guide": self.guide, "autoencoder": self.latent_space}
        digests = {name: network.info.digest for name, network in networks.items() if network is not None}
        return digests if self.latent_space is None else {**digests, "latents": self.latent_space.latents.info.digest}

    @property
    def inputs(self) -> dict[str, Any]:
        """Keyword arguments of the method's `train`."""
        inputs: dict[str, Any] = {} if self.guide is None else {"guide": self.guide}
        space = self.latent_space
        return inputs if space is None else {**inputs, "latents": space.latents, "autoencoder": space.autoencoder}


def run(
    config: TrainGeneratorConfig,
    *,
    patches: Path,
    extractor: Path | None = None,
    guide: Path | None = None,
    autoencoder: Path | None = None,
    latents: Path | None = None,
    generator: Path,
) -> TrainGeneratorSummary:
    """Train a generator on the training split.

    A method without labels is trained on one class after the other, each separately. A restarted training resumes at
    the class and step that it had reached.

    Args:
        config: the settings.
        patches: patch set of real patches; its test split is not read, and its val split only to check the extractor,
            and by methods that also train a classifier.
        extractor: a classifier, or an arm (then its lowest seed), whose features choose the epoch by FID; None keeps
            the last epoch.
        guide: a guide, for the methods that use one; others ignore it.
        autoencoder, latents: outputs of train_autoencoder for these patches, for the methods that train on latents;
            others ignore them.
        generator: the model directory to write, with `history.json` and `pictures/` beside the weights, and with
            `classifier/` if the method trains one. The log and the checkpoint of the training are in
            `<generator>-training`, from which a killed training resumes.

    Raises:
        HistoforgeError: if the patch size does not fit the settings, the extractor or the guide does not fit the
            patches, a class has fewer patches than a batch, the method needs a guide or latents, or a loss is not
            finite.
    """
    settings, generator = method_config(config), Path(generator)
    whole = PatchSet.open(patches, config.fold)
    data = whole.split("train")
    METHODS[config.method].check_size(settings, data.patch_size)
    device = resolve_device(settings.device)
    paths = {"extractor": extractor, "guide": guide, "autoencoder": autoencoder, "latents": latents}
    networks = _load_networks(config.method, data, paths, device, config.precision)
    distrust = _distrust(networks.extractor, whole, settings.seed, device)
    data = limit_patches(data, settings.max_patches, settings.seed)
    validation = whole.split("val") if METHODS[config.method].classifies else None
    info = _describe(config.method, settings, data, networks)
    trainings = class_trainings(settings, data, info)
    engines, results = [], []
    for index, training in enumerate(trainings):
        engines.append(_engine(settings, training, work_beside(generator, "-training"), len(trainings) - index))
        results.append(_train(settings, training, engines[-1], networks, validation, distrust))
    summary = _summary(settings, trainings, results, engines, networks.extractor)
    info = _save(generator, settings, info, trainings, results, summary, data.classes)
    for engine in engines:
        engine.finish()
    return summary.model_copy(update={"digest": info.digest})


def _load_networks(
    method: str, data: PatchSet, paths: Mapping[str, Path | None], device: torch.device, precision: str
) -> FrozenNetworks:
    """Load the networks that the method uses, and the extractor, from the step's inputs by name."""
    classifier = load_classifier(paths["extractor"], device) if paths["extractor"] else None
    if classifier is not None:
        classifier.check_fits(data.classes, data.patch_size, "the patch set")
        classifier.check_fold(data)
    if METHODS[method].guided:
        guide = _load_guide(method, data, paths["guide"], device, precision)
        return FrozenNetworks(classifier, guide=guide)
    if METHODS[method].latent:
        space = _open_latent_space(method, data, paths["autoencoder"], paths["latents"], device)
        return FrozenNetworks(classifier, latent_space=space)
    return FrozenNetworks(classifier)


def _load_guide(method: str, data: PatchSet, path: Path | None, device: torch.device, precision: str) -> Guide:
    if path is None:
        raise SettingsError(f"The method '{method}' needs a guide: pass the output of finetune_snn as --guide.")
    guide = load_guide(path, device, resolve_precision(precision, device))
    guide.check_patches(data, "the patch set")
    return guide


def _open_latent_space(
    method: str, data: PatchSet, autoencoder: Path | None, latents: Path | None, device: torch.device
) -> LatentSpace:
    if autoencoder is None or latents is None:
        raise SettingsError(
            f"The method '{method}' trains on latents: pass the outputs of train_autoencoder as --autoencoder and "
            "--latents."
        )
    info, network = load_autoencoder(autoencoder, device)
    encoded = LatentSet.open(latents)
    encoded.check_made_of(data, info)
    return LatentSpace(info, network, encoded)


def _distrust(extractor: Classifier | None, patches: PatchSet, seed: int, device: torch.device) -> str:
    """Return what the extractor gets wrong about corrupted validation patches, one sentence; '' if nothing."""
    if extractor is None:
        return ""
    held_out = patches.where(np.flatnonzero(patches.index["split"].to_numpy() == "val"))
    check = check_extractor(extractor, held_out, device, seed=seed)
    return "" if check is None else check.text


def _describe(method: str, config: GeneratorConfig, data: PatchSet, networks: FrozenNetworks) -> ModelInfo:
    not_identity = NOT_IDENTITY if config.fold >= 0 else {*NOT_IDENTITY, "fold"}
    space = networks.latent_space
    latent: dict[str, Any] = {} if space is None else {"autoencoder": space.info.config["architecture"]}
    if space is not None and space.latents.info.image_size:
        latent["image_size"] = space.latents.info.image_size
    return ModelInfo(
        kind="generator",
        method=method,
        config={"method": method, **config.model_dump(exclude=not_identity), **latent},
        classes=data.classes,
        patch_size=data.patch_size,
        mpp=data.info.mpp,
        digests={"patches": data.digest, **networks.digests},
    )


def _engine(config: GeneratorConfig, training: ClassTraining, work: Path, trainings: int) -> Engine:
    return step_engine(
        "train_generator",
        config,
        training.info,
        work / training.folder if training.folder else work,
        label=training.label,
        trainings=trainings,
        stream=training.folder or "generator",  # so that methods that differ only in their loss draw the same patches
    )


def _train(
    config: GeneratorConfig,
    training: ClassTraining,
    engine: Engine,
    networks: FrozenNetworks,
    validation: PatchSet | None,
    distrust: str,
) -> TrainingResult:
    scorer = None
    if networks.extractor is not None:
        scorer = FidScorer(
            networks.extractor, training.data, config.fid_samples, config.seed, engine.device, engine.dtype, distrust
        )
    given = networks.inputs if validation is None else {**networks.inputs, "validation": validation}
    method = METHODS[training.info.method]
    result: TrainingResult = method.train(config, training.data, engine, scorer, training.info, **given)
    return result


def _save(
    generator: Path,
    config: GeneratorConfig,
    info: ModelInfo,
    trainings: list[ClassTraining],
    results: list[TrainingResult],
    summary: TrainGeneratorSummary,
    classes: list[str],
) -> ModelInfo:
    """Write the model directory; with one model per class, its record names the classes of the patch set."""
    history_values = [
        {
            "chosen_by": summary.chosen_by,
            "extractor": summary.extractor,
            "fid_alpha": config.fid_alpha,
            "select_from_epoch": config.select_from_epoch,
            "fid_samples": config.fid_samples or len(training.data),
        }
        for training in trainings
    ]
    record: dict[str, Any] = summary.model_dump(exclude={"digest"}, exclude_defaults=True)
    if not config.class_wise:
        info = info.model_copy(update={"training": record})
        return save_generator(generator, info, results[0], history_values[0], config.seed)
    by_folder = {training.folder: result for training, result in zip(trainings, results, strict=True)}
    trained = [training.info.classes[0] for training in trainings]
    info = info.model_copy(update={"classes": trained, "training": {**record, "patch_classes": classes}})
    return save_class_generators(generator, info, by_folder, history_values, config.seed)


def _summary(
    config: GeneratorConfig,
    trainings: list[ClassTraining],
    results: list[TrainingResult],
    engines: list[Engine],
    extractor: Classifier | None,
) -> TrainGeneratorSummary:
    summaries = [_class_summary(*training) for training in zip(trainings, results, engines, strict=True)]
    single = summaries[0] if len(summaries) == 1 else None
    names = [training.info.classes[0] for training in trainings]
    first, engine = results[0], engines[0]
    default = "last epoch" if first.fid is None else "lowest smoothed FID"
    return TrainGeneratorSummary(
        method=trainings[0].info.method,
        stages=[dimensions(size) for size in first.sizes],
        patches=sum(summary.patches for summary in summaries),
        epochs=max(summary.epochs for summary in summaries),
        steps=sum(summary.steps for summary in summaries),
        chosen_epoch=single.chosen_epoch if single else None,
        chosen_by=" or ".join(dict.fromkeys(result.chosen_by or default for result in results)),
        choice_note=" ".join(dict.fromkeys(result.choice_note for result in results if result.choice_note)),
        extractor="" if extractor is None else extractor.name,
        fid=single.fid if single else None,
        fid_smoothed=single.fid_smoothed if single else None,
        parameters={name: sum(result.parameters[name] for result in results) for name in first.parameters},
        precision=str(engine.dtype).removeprefix("torch."),
        device=engine.device.type,
        seconds=round(sum(summary.seconds for summary in summaries), 2),
        figures=first.figures,
        by_class=dict(zip(names, summaries, strict=True)) if config.class_wise else {},
        warnings=[warning for result in results for warning in result.warnings],
        digest="",
    )


def _class_summary(training: ClassTraining, result: TrainingResult, engine: Engine) -> ClassSummary:
    fid, smoothed = result.fid or (None, None)
    rows = result.history.rows
    return ClassSummary(
        patches=len(training.data),
        epochs=len(rows),
        steps=engine.global_step,
        chosen_epoch=result.chosen_epoch,
        fid=fid,
        fid_smoothed=smoothed,
        seconds=round(sum(float(row["seconds"] or 0) for row in rows), 2),
    )
