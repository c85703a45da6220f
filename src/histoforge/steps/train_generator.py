"""Train a generator of patches, and keep the weights of the epoch whose patches look most like the real ones."""

from importlib import import_module
from pathlib import Path

from histoforge.classifiers import Classifier, load_classifier
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.model_selection import FidJudge
from histoforge.generators.outcome import Outcome, write_outcome
from histoforge.generators.registry import METHODS
from histoforge.patches import PatchSet
from histoforge.steps.config.train_generator import TrainGeneratorConfig, TrainGeneratorSummary, own_config
from histoforge.training.device import resolve_device
from histoforge.training.engine import Engine
from histoforge.training.models import ModelInfo, save_model

NOT_IDENTITY = {"checkpoint_every", "checkpoints", "device"}
"""Parameters that do not change what a training ends with, so that a retry may change them."""


def run(
    config: TrainGeneratorConfig,
    *,
    patches: Path,
    extractor: Path | None = None,
    guide: Path | None = None,
    generator: Path,
) -> TrainGeneratorSummary:
    """Train a generator on the training split.

    Args:
        config: the settings.
        patches: patch set of real patches; its val and test splits are not read.
        extractor: a classifier, or an arm (then its lowest seed), whose features choose the epoch by FID; None keeps
            the last epoch.
        guide: a guide, for the methods that have one; others do not use it.
        generator: the model directory to write, with `history.json` and `pictures/` beside the weights. The log and
            the checkpoint of the training stand in `<generator>-training`, from where a killed one goes on.

    Raises:
        HistoforgeError: the patch size does not go with the settings, the extractor does not fit the patches, or a
            loss is not finite.
    """
    data, generator = PatchSet.open(patches).split("train"), Path(generator)
    classifier = load_classifier(extractor, resolve_device(config.device)) if extractor else None
    own = own_config(config)
    info = _info(config.method, own, data, classifier)
    engine = _engine(own, info, generator)
    judge = None
    if classifier is not None:
        classifier.check_fits(data.classes, data.patch_size, "the patch set")
        judge = FidJudge(classifier, data, own.fid_samples, own.seed, engine.device, engine.dtype)
    outcome = import_module(f"{METHODS[config.method].package}.train").train(own, data, engine, judge, info)
    summary = _summary(config, len(data), outcome, engine, classifier)
    facts = {
        "chosen_by": summary.chosen_by,
        "extractor": summary.extractor,
        "fid_alpha": own.fid_alpha,
        "fid_samples": own.fid_samples or len(data),
        "select_from_epoch": own.select_from_epoch,
    }
    info = save_model(
        generator,
        info.model_copy(update={"training": summary.model_dump(exclude={"digest"})}),
        outcome.state,
        lambda folder: write_outcome(outcome, folder, facts, own.seed),
    )
    engine.finish()
    return summary.model_copy(update={"digest": info.digest})


def _info(method: str, config: GeneratorConfig, data: PatchSet, classifier: Classifier | None) -> ModelInfo:
    digests = {"patches": data.digest}
    if classifier is not None:
        digests["extractor"] = classifier.info.digest
    return ModelInfo(
        kind="generator",
        method=method,
        config={"method": method, **config.model_dump(exclude=NOT_IDENTITY)},
        classes=data.classes,
        patch_size=data.patch_size,
        mpp=data.info.mpp,
        digests=digests,
    )


def _engine(config: GeneratorConfig, info: ModelInfo, generator: Path) -> Engine:
    return Engine(
        generator.with_name(f"{generator.name}-training"),
        identity={"step": "train_generator", **info.model_dump(mode="json")},
        device=config.device,
        precision=config.precision,
        seed=config.seed,
        checkpoints=config.checkpoints,
        checkpoint_every=config.checkpoint_every,
        label=info.method,
    )


def _summary(
    config: TrainGeneratorConfig, patches: int, outcome: Outcome, engine: Engine, classifier: Classifier | None
) -> TrainGeneratorSummary:
    fid, smoothed = outcome.fid or (None, None)
    rows = outcome.history.rows
    return TrainGeneratorSummary(
        method=config.method,
        stages=["x".join(map(str, size)) for size in outcome.sizes],
        patches=patches,
        epochs=len(rows),
        steps=engine.global_step,
        chosen_epoch=outcome.chosen_epoch,
        chosen_by="last epoch" if fid is None else "lowest smoothed FID",
        extractor="" if classifier is None else classifier.name,
        fid=fid,
        fid_smoothed=smoothed,
        parameters=outcome.parameters,
        precision=str(engine.dtype).removeprefix("torch."),
        device=engine.device.type,
        seconds=round(sum(float(row["seconds"] or 0) for row in rows), 2),
        digest="",
    )
