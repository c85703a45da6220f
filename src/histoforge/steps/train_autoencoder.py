"""The step `train_autoencoder`: the autoencoder of latent diffusion, its error, and the latents of all images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.autoencoder.data import check_size, open_levels, sample_images, training_images
from histoforge.autoencoder.latents import LatentSet, encode_latents
from histoforge.autoencoder.network import Autoencoder
from histoforge.autoencoder.published import CONFIG_NAME, build_published
from histoforge.autoencoder.reconstruction import ReconstructionError, reconstruct, reconstruction_error
from histoforge.autoencoder.training import Hyperparameters, fit
from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.weights import read_lpips, read_weights
from histoforge.core.progress import say
from histoforge.core.results import work_beside
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.patches import PatchSet
from histoforge.patches.device import to_unit
from histoforge.patches.pictures import grid, save_png
from histoforge.steps.step_engine import step_engine
from histoforge.steps.train_autoencoder_config import LevelError, TrainAutoencoderConfig, TrainAutoencoderSummary
from histoforge.storage import open_location
from histoforge.training.device import autocast, resolve_device, resolve_precision
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, save_model
from histoforge.training.parameters import count_parameters

NOT_IDENTITY = {"checked", "checkpoint_every", "checkpoints", "device"}
"""Parameters that do not change the result of a training, so that a retry may change them."""
LEVEL_NAMES = ("patch", "overview")
SCALE_IMAGES = 512
SHOWN = 8


@dataclass(frozen=True)
class MeasuredLevel:
    """Validation images of a level and what the autoencoder makes of them.

    Attributes:
        name: 'patch' or 'overview'.
        error: the reconstruction error.
        originals, restored: some of the images, uint8 [n, H, W, 3].
    """

    name: str
    error: ReconstructionError
    originals: NDArray[np.uint8]
    restored: NDArray[np.uint8]


def run(
    config: TrainAutoencoderConfig,
    *,
    patches: Path,
    overviews: Path | None = None,
    extractor: Path | None = None,
    autoencoder: Path,
    latents: Path,
) -> TrainAutoencoderSummary:
    """Train the autoencoder, or take given weights, measure its error, and encode all training and validation images.

    Args:
        config: the settings.
        patches: patch set; the test split is not read.
        overviews: patch set of overviews of the same size, the second spatial level; None for patches alone.
        extractor: classifier or arm (then its lowest seed) whose features the FID of the reconstructions uses.
        autoencoder: the model directory to write. The log and the checkpoint of the training are in
            `<autoencoder>-training`, from which a killed training resumes.
        latents: the directory of latents to write.

    Raises:
        HistoforgeError: the images do not fit, the weights are missing or of another architecture, or a loss is not
            finite.
    """
    levels = open_levels(patches, overviews, config.fold)
    device = resolve_device(config.device)
    classifier = load_classifier(extractor, device) if extractor else None
    if classifier is not None:
        classifier.check_fits(levels[0].classes, levels[0].patch_size, "the patch set")
    network, weights_digest = _initial_network(config)
    check_size(levels[0].patch_size, network.factor)
    network = network.to(device).to(memory_format=torch.channels_last)
    info = _describe(config, levels, network, weights_digest)
    engine, perceptual = None, ""
    if not config.weights:
        work = work_beside(Path(autoencoder), "-training")
        engine = step_engine("train_autoencoder", config, info, work, label="autoencoder")
        perceptual = _train(config, levels, network, engine)
    network.eval().requires_grad_(False)
    _fit_scale(config, levels, network, device)
    measured = _measure(config, levels, network, device, classifier)
    training = {"scale": float(network.scale), "reconstruction": {m.name: m.error.model_dump() for m in measured}}
    saved = _save(Path(autoencoder), info.model_copy(update={"training": training}), network, measured)
    dtype = resolve_precision(config.precision, device)
    encode_latents(Path(latents), network, saved, levels, config.flips, device, dtype)
    if engine is not None:
        engine.finish()
    summary = _summary(config, network, measured, LatentSet.open(latents), saved, perceptual, engine)
    for warning in summary.warnings:
        say(f"train_autoencoder: {warning}")
    return summary


def _initial_network(config: TrainAutoencoderConfig) -> tuple[Autoencoder, str]:
    """Return the network with random or given weights, and the SHA-256 of the weights' file or ''."""
    if config.weights:
        weights, digest = read_weights(config.weights, config.weights_sha256)
        parent = config.weights.rpartition("/")[0] if "/" in config.weights else "."
        architecture = open_location(parent).read(CONFIG_NAME)
        return build_published(weights, architecture and architecture[0], config.weights), digest
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "autoencoder", "weights"))
        return Autoencoder(config.architecture), ""


def _describe(
    config: TrainAutoencoderConfig, levels: Sequence[PatchSet], network: Autoencoder, weights_digest: str
) -> ModelInfo:
    names = ("patches", "overviews")
    digests = {name: data.digest for name, data in zip(names, levels, strict=False)}
    return ModelInfo(
        kind="autoencoder",
        method="autoencoder_kl",
        config={
            **config.model_dump(exclude=NOT_IDENTITY),
            "architecture": network.architecture.model_dump(mode="json"),
        },
        classes=levels[0].classes,
        patch_size=levels[0].patch_size,
        mpp=levels[0].info.mpp,
        digests={**digests, **({"weights": weights_digest} if weights_digest else {})},
    )


def _train(config: TrainAutoencoderConfig, levels: Sequence[PatchSet], network: Autoencoder, engine: Engine) -> str:
    """Train the network in place, and return the name of the perceptual distance or ''."""
    perceptual = read_lpips(config.lpips_weights, config.lpips_sha256, levels[0].patch_size, engine.device)
    params = Hyperparameters(
        epochs=config.epochs,
        epoch_steps=config.epoch_steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        kl_weight=config.kl_weight,
        perceptual_weight=config.perceptual_weight,
        flips=config.flips,
    )
    fit(network, training_images(levels, engine.device), params, engine, perceptual)
    return "" if perceptual is None else perceptual.name


def _fit_scale(
    config: TrainAutoencoderConfig, levels: Sequence[PatchSet], network: Autoencoder, device: torch.device
) -> None:
    share = SCALE_IMAGES // len(levels)
    rng = numpy_rng(config.seed, "autoencoder scale")
    images = np.concatenate([sample_images(data, "train", share, rng) for data in levels])
    with autocast(device, resolve_precision(config.precision, device)):
        network.fit_scale(to_unit(torch.from_numpy(images).permute(0, 3, 1, 2).to(device)))


def _measure(
    config: TrainAutoencoderConfig,
    levels: Sequence[PatchSet],
    network: Autoencoder,
    device: torch.device,
    extractor: Classifier | None,
) -> list[MeasuredLevel]:
    dtype = resolve_precision(config.precision, device)
    measured = []
    for name, data in zip(LEVEL_NAMES, levels, strict=False):
        rng = numpy_rng(config.seed, "autoencoder checked", name)
        originals = sample_images(data, "val", config.checked, rng)
        restored = reconstruct(network, originals, device, dtype)
        error = reconstruction_error(originals, restored, device, extractor)
        measured.append(MeasuredLevel(name, error, originals[:SHOWN], restored[:SHOWN]))
    return measured


def _save(path: Path, info: ModelInfo, network: Autoencoder, measured: Sequence[MeasuredLevel]) -> ModelInfo:
    """Write the model directory, with a picture of originals above their reconstructions for each level."""

    def add_pictures(folder: Path) -> None:
        for level in measured:
            rows = np.concatenate([level.originals, level.restored])
            save_png(grid(rows, len(level.originals)), folder / "pictures" / f"{level.name}.png")

    return save_model(path, info, network.state_dict(), add_pictures)


def _summary(
    config: TrainAutoencoderConfig,
    network: Autoencoder,
    measured: Sequence[MeasuredLevel],
    latents: LatentSet,
    info: ModelInfo,
    perceptual: str,
    engine: Engine | None,
) -> TrainAutoencoderSummary:
    channels, height, width = latents.latents.shape[2:]
    warnings = []
    if engine is not None and not perceptual:
        warnings.append(
            "The autoencoder was trained without a perceptual term (no lpips_weights): details may be blurred"
        )
    return TrainAutoencoderSummary(
        weights=config.weights or "trained",
        factor=network.factor,
        latent=(channels, height, width),
        scale=float(network.scale),
        parameters=count_parameters(network),
        steps=0 if engine is None else engine.global_step,
        encoded=len(latents),
        bytes=latents.latents.nbytes,
        reconstruction={m.name: LevelError(**m.error.model_dump(exclude={"extractor"})) for m in measured},
        extractor=measured[0].error.extractor,
        perceptual=perceptual,
        precision=str(resolve_precision(config.precision, network.scale.device)).removeprefix("torch."),
        device=network.scale.device.type,
        digest=info.digest,
        warnings=warnings,
    )
