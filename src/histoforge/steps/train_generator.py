"""Train a generator of patches, and keep the weights of the epoch whose patches look most like the real ones."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.network import Classifier
from histoforge.core.errors import SettingsError
from histoforge.core.results import work_beside
from histoforge.core.seeds import numpy_rng
from histoforge.core.settings import nearest
from histoforge.core.text import dimensions
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.joining import merged
from histoforge.generators.methods import METHODS
from histoforge.generators.model_selection import FidJudge
from histoforge.generators.results import TrainingResult, write_result, write_results
from histoforge.patches import PatchSet
from histoforge.siamese.guide import Guide, load_guide
from histoforge.steps.train_generator_config import (
    ClassSummary,
    TrainGeneratorConfig,
    TrainGeneratorSummary,
    method_config,
)
from histoforge.training.device import resolve_device
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, save_model

NOT_IDENTITY = {"checkpoint_every", "checkpoints", "device", "only_class"}
"""Parameters that do not change the result of a training, so that a retry may change them."""


@dataclass(frozen=True)
class Part:
    """The subject of one training: all classes, or a single one if a method has one model per class.

    Attributes:
        data: real patches for training.
        info: the description of the resulting generator.
        folder: '', or '<place>-<class>' with a valid file name.
    """

    data: PatchSet
    info: ModelInfo
    folder: str = ""

    @property
    def label(self) -> str:
        """The label of the log and the progress bar."""
        return f"{self.info.method} {self.folder.partition('-')[2]}".strip()


@dataclass(frozen=True)
class Judges:
    """The judges of generated patches: the extractor that chooses the epoch, and the guide that the method uses."""

    extractor: Classifier | None
    guide: Guide | None

    @property
    def digests(self) -> dict[str, str]:
        """Their digests by name."""
        pairs = (("extractor", self.extractor), ("guide", self.guide))
        return {name: judge.info.digest for name, judge in pairs if judge is not None}


def run(
    config: TrainGeneratorConfig,
    *,
    patches: Path,
    extractor: Path | None = None,
    guide: Path | None = None,
    generator: Path,
) -> TrainGeneratorSummary:
    """Train a generator on the training split.

    A method without labels is trained on one class after the other, each separately. A restarted training resumes at
    the class and step that it had reached.

    Args:
        config: the settings.
        patches: patch set of real patches; its val and test splits are not read.
        extractor: a classifier, or an arm (then its lowest seed), whose features choose the epoch by FID; None keeps
            the last epoch.
        guide: a guide, for the methods that use one; others ignore it.
        generator: the model directory to write, with `history.json` and `pictures/` beside the weights. The log and
            the checkpoint of the training are in `<generator>-training`, from which a killed training resumes.

    Raises:
        HistoforgeError: if the patch size does not fit the settings, the extractor or the guide does not fit the
            patches, a class has fewer patches than a batch, the method needs a guide, or a loss is not finite.
    """
    data, generator = PatchSet.open(patches).split("train"), Path(generator)
    own = method_config(config)
    METHODS[config.method].check_size(own, data.patch_size)
    judges = _judges(config.method, own, data, extractor, guide)
    data = _at_most(data, own)
    info = _info(config.method, own, data, judges)
    parts = _parts(own, data, info)
    engines, outcomes = [], []
    for place, part in enumerate(parts):
        engines.append(_engine(own, part, generator, len(parts) - place))
        outcomes.append(_train(own, part, engines[-1], judges))
    summary = _summary(own, parts, outcomes, engines, judges.extractor)
    info = _save(generator, own, info, parts, outcomes, summary, data.classes)
    for engine in engines:
        engine.finish()
    return summary.model_copy(update={"digest": info.digest})


def _judges(method: str, config: GeneratorConfig, data: PatchSet, extractor: Path | None, guide: Path | None) -> Judges:
    classifier = load_classifier(extractor, resolve_device(config.device)) if extractor else None
    if classifier is not None:
        classifier.check_fits(data.classes, data.patch_size, "the patch set")
    if not METHODS[method].guided:
        return Judges(classifier, None)
    if guide is None:
        raise SettingsError(f"The method '{method}' needs a guide: give one that finetune_snn made (--guide).")
    loaded = load_guide(guide, resolve_device(config.device), config.precision)
    loaded.check_patches(data, "the patch set")
    return Judges(classifier, loaded)


def _at_most(data: PatchSet, config: GeneratorConfig) -> PatchSet:
    """Return at most `max_patches` patches, the same ones for each class that is trained separately."""
    if not config.max_patches or config.max_patches >= len(data):
        return data
    chosen = numpy_rng(config.seed, "generator patches").choice(len(data), config.max_patches, replace=False)
    return data.where(np.sort(chosen))


def _info(method: str, config: GeneratorConfig, data: PatchSet, judges: Judges) -> ModelInfo:
    return ModelInfo(
        kind="generator",
        method=method,
        config={"method": method, **config.model_dump(exclude=NOT_IDENTITY)},
        classes=data.classes,
        patch_size=data.patch_size,
        mpp=data.info.mpp,
        digests={"patches": data.digest, **judges.digests},
    )


def _parts(config: GeneratorConfig, data: PatchSet, info: ModelInfo) -> list[Part]:
    """Return the trainings: one for all classes, or one per requested class.

    Raises:
        SettingsError: if there is no such class, or one has fewer patches than a batch.
    """
    if not config.class_wise:
        return [Part(data, info)]
    only = getattr(config, "only_class", "")
    if only and only not in data.classes:
        raise SettingsError(
            f"The patch set has no class '{only}'{nearest(only, data.classes)}: set only_class to one of "
            f"{', '.join(data.classes)}."
        )
    parts = []
    for label, name in enumerate(data.classes):
        if only in ("", name):
            count = int(data.counts[label])
            if count < config.batch_size:
                raise SettingsError(
                    f"The class '{name}' has {count} training patches, fewer than a batch of {config.batch_size}: "
                    f"lower batch_size{f' to {count} or less' if count > 1 else ''}, or give more patches of it."
                )
            own = info.model_copy(update={"classes": [name]})
            parts.append(Part(data.of_class(label), own, f"{label}-{_for_files(name)}"))
    return parts


def _for_files(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def _engine(config: GeneratorConfig, part: Part, generator: Path, trainings: int) -> Engine:
    work = work_beside(generator, "-training")
    return Engine(
        work / part.folder if part.folder else work,
        identity={"step": "train_generator", **part.info.model_dump(mode="json")},
        device=config.device,
        precision=config.precision,
        seed=config.seed,
        checkpoints=config.checkpoints,
        checkpoint_every=config.checkpoint_every,
        label=part.label,
        trainings=trainings,
        stream=part.folder or "generator",  # so that methods that differ only in their loss draw the same patches
    )


def _train(config: GeneratorConfig, part: Part, engine: Engine, judges: Judges) -> TrainingResult:
    judge = None
    if judges.extractor is not None:
        judge = FidJudge(judges.extractor, part.data, config.fid_samples, config.seed, engine.device, engine.dtype)
    guided = {} if judges.guide is None else {"guide": judges.guide}
    outcome: TrainingResult = METHODS[part.info.method].train(config, part.data, engine, judge, part.info, **guided)
    return outcome


def _save(
    generator: Path,
    config: GeneratorConfig,
    info: ModelInfo,
    parts: list[Part],
    outcomes: list[TrainingResult],
    summary: TrainGeneratorSummary,
    classes: list[str],
) -> ModelInfo:
    """Write the model directory; with several classes it has the weights of all, and names those of the patch set."""
    facts = {
        "chosen_by": summary.chosen_by,
        "extractor": summary.extractor,
        "fid_alpha": config.fid_alpha,
        "select_from_epoch": config.select_from_epoch,
    }
    samples = [config.fid_samples or len(part.data) for part in parts]
    training: dict[str, Any] = summary.model_dump(exclude={"digest"}, exclude_defaults=True)
    if not config.class_wise:
        return save_model(
            generator,
            info.model_copy(update={"training": training}),
            outcomes[0].state,
            lambda folder: write_result(outcomes[0], folder, {**facts, "fid_samples": samples[0]}, config.seed),
        )
    by_class = {
        part.folder: (outcome, {**facts, "fid_samples": count})
        for part, outcome, count in zip(parts, outcomes, samples, strict=True)
    }
    training["patch_classes"] = classes
    return save_model(
        generator,
        info.model_copy(update={"classes": [part.info.classes[0] for part in parts], "training": training}),
        merged([outcome.state for outcome in outcomes]),
        lambda folder: write_results(by_class, folder, config.seed),
    )


def _summary(
    config: GeneratorConfig,
    parts: list[Part],
    outcomes: list[TrainingResult],
    engines: list[Engine],
    extractor: Classifier | None,
) -> TrainGeneratorSummary:
    own = [_class_summary(*one) for one in zip(parts, outcomes, engines, strict=True)]
    single = own[0] if len(own) == 1 else None
    first, engine = outcomes[0], engines[0]
    return TrainGeneratorSummary(
        method=parts[0].info.method,
        stages=[dimensions(size) for size in first.sizes],
        patches=sum(one.patches for one in own),
        epochs=max(one.epochs for one in own),
        steps=sum(one.steps for one in own),
        chosen_epoch=single.chosen_epoch if single else None,
        chosen_by="last epoch" if first.fid is None else "lowest smoothed FID",
        extractor="" if extractor is None else extractor.name,
        fid=single.fid if single else None,
        fid_smoothed=single.fid_smoothed if single else None,
        parameters={name: sum(one.parameters[name] for one in outcomes) for name in first.parameters},
        precision=str(engine.dtype).removeprefix("torch."),
        device=engine.device.type,
        seconds=round(sum(one.seconds for one in own), 2),
        by_class={part.info.classes[0]: one for part, one in zip(parts, own, strict=True)} if config.class_wise else {},
        digest="",
    )


def _class_summary(part: Part, outcome: TrainingResult, engine: Engine) -> ClassSummary:
    fid, smoothed = outcome.fid or (None, None)
    rows = outcome.history.rows
    return ClassSummary(
        patches=len(part.data),
        epochs=len(rows),
        steps=engine.global_step,
        chosen_epoch=outcome.chosen_epoch,
        fid=fid,
        fid_smoothed=smoothed,
        seconds=round(sum(float(row["seconds"] or 0) for row in rows), 2),
    )
