"""The step `train_upscaler`: a network that enlarges images, and its error beside that of bicubic interpolation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.autoencoder.data import SMALLEST_SIDE, sample_images
from histoforge.autoencoder.network import Autoencoder, load_autoencoder
from histoforge.autoencoder.reconstruction import reconstruct, reconstruction_error
from histoforge.classifiers.weights import read_weights
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.progress import say
from histoforge.core.results import work_beside
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.core.text import dimensions
from histoforge.metrics import lpips
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.patches.pictures import grid, save_png
from histoforge.steps.step_engine import step_engine
from histoforge.steps.train_upscaler_config import TrainUpscalerConfig, TrainUpscalerSummary
from histoforge.training.device import resolve_device
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo, save_model
from histoforge.training.parameters import count_parameters
from histoforge.upscaling.bsrgan import train_bsrgan
from histoforge.upscaling.comparison import Upscaled, upscale_shrunken
from histoforge.upscaling.error import UpscalingError
from histoforge.upscaling.latent_sr import train_latent_sr
from histoforge.upscaling.pairs import CropPairs
from histoforge.upscaling.patch_critic import SMALLEST_SIDE as SMALLEST_FOR_CRITIC
from histoforge.upscaling.trained import AUTOENCODER, Upscaler, build_upscaler

NOT_IDENTITY = {"checked", "checkpoint_every", "checkpoints", "device"}
"""Parameters that do not change the result of a training, so that a retry may change them."""
SHOWN = 4


@dataclass(frozen=True)
class Coding:
    """The autoencoder of latent diffusion, with its description."""

    info: ModelInfo
    network: Autoencoder


@dataclass(frozen=True)
class Trained:
    """Weights of an upscaler, their number without an autoencoder's, and the name of the perceptual distance or ''."""

    state: dict[str, Tensor]
    parameters: int
    perceptual: str = ""


def run(
    config: TrainUpscalerConfig, *, patches: Path, autoencoder: Path | None = None, upscaler: Path
) -> TrainUpscalerSummary:
    """Train an upscaler on crops and their shrunken versions, and measure its error on images of other patients.

    Args:
        config: the settings.
        patches: patch set at the resolution of the enlarged images; the test split is not read.
        autoencoder: that of the latents, for the method 'latent_sr'; others do not use it.
        upscaler: the model directory to write. The log and the checkpoint of the training are in
            `<upscaler>-training`, from which a killed training resumes.

    Raises:
        HistoforgeError: the images do not fit, the autoencoder is missing or does not fit the scale, or a loss is not
            finite.
    """
    data = PatchSet.open(patches, config.fold)
    coding = _open_coding(config, autoencoder)
    factor = 1 if coding is None else coding.network.factor
    config = config.model_copy(update={"crop": fitting_crop(config, data.patch_size, factor)})
    info = _describe(config, data, coding)
    work = work_beside(Path(upscaler), "-training")
    engine = step_engine("train_upscaler", config, info, work, label="upscaler")
    training = DevicePatches.load(data.split("train"), engine.device)
    pairs = CropPairs(training, config.crop, config.scale, config.shrunk_by, config.flips, engine.rng)
    trained = _train(config, pairs, engine, coding)
    model = build_upscaler(info, trained.state, engine.device, engine.dtype)
    originals = _held_out(config, data, factor)
    enlarged = {name: _compare(config, model, originals, name) for name in dict.fromkeys(("bicubic", config.shrunk_by))}
    error = {name: images.error() for name, images in enlarged.items()}
    ceiling = None if coding is None else _reconstruction_psnr(coding.network, originals, engine)
    facts = {"steps": engine.global_step, "error": {name: each.model_dump() for name, each in error.items()}}
    saved = _save(Path(upscaler), info.model_copy(update={"training": facts}), trained.state, enlarged)
    engine.finish()
    summary = _summary(config, trained, error, ceiling, engine, saved)
    _report(summary)
    return summary


def fitting_crop(config: TrainUpscalerConfig, patch_size: tuple[int, int], factor: int) -> int:
    """Return the side of the crops, px: the largest up to `config.crop` that fits images and network.

    Args:
        config: the settings.
        patch_size: height and width of the images, px.
        factor: pixels per side of one latent; 1 without latents.

    Raises:
        PatchSetError: no crop fits.
    """
    unit = config.unit(factor)
    crop = min(config.crop, *patch_size) // unit * unit
    least = max(unit, SMALLEST_FOR_CRITIC if config.is_adversarial else SMALLEST_SIDE)
    if crop < least:
        raise PatchSetError(
            f"From images of {dimensions(patch_size)} px, crop={config.crop} makes crops of {crop} px, and the network "
            f"needs multiples of {unit} px, at least {least} px: raise crop, preprocess to larger patches, or choose "
            "fewer levels."
        )
    return crop


def _open_coding(config: TrainUpscalerConfig, path: Path | None) -> Coding | None:
    """Load the autoencoder if the method uses one."""
    if config.method != "latent_sr":
        return None
    if path is None:
        raise SettingsError(
            "The method 'latent_sr' works on latents: pass the output of train_autoencoder as --autoencoder."
        )
    return Coding(*load_autoencoder(path, resolve_device(config.device)))


def _describe(config: TrainUpscalerConfig, data: PatchSet, coding: Coding | None) -> ModelInfo:
    settings, digests = config.model_dump(mode="json", exclude=NOT_IDENTITY), {"patches": data.digest}
    if coding is not None:
        settings["autoencoder"] = coding.network.architecture.model_dump(mode="json")
        digests["autoencoder"] = coding.info.digest
    return ModelInfo(
        kind="upscaler",
        method=config.method,
        config=settings,
        classes=data.classes,
        patch_size=data.patch_size,
        mpp=data.info.mpp,
        digests=digests,
    )


def _train(config: TrainUpscalerConfig, pairs: CropPairs, engine: Engine, coding: Coding | None) -> Trained:
    if coding is not None:
        network = train_latent_sr(config, pairs, engine, coding.network)
        coded = {f"{AUTOENCODER}{name}": t for name, t in coding.network.state_dict().items()}
        return Trained({**network.state_dict(), **coded}, count_parameters(network))
    perceptual = None
    if config.lpips_weights:
        weights, digest = read_weights(config.lpips_weights, config.lpips_sha256)
        perceptual = lpips.LpipsDistance(weights, digest, config.lpips_weights, engine.device)
    rrdb = train_bsrgan(config, pairs, engine, perceptual)
    return Trained(rrdb.state_dict(), count_parameters(rrdb), "" if perceptual is None else perceptual.name)


def _held_out(config: TrainUpscalerConfig, data: PatchSet, factor: int) -> NDArray[np.uint8]:
    """Return validation images, uint8 [n, H, W, 3], without the rows and columns beyond a multiple of the unit."""
    images = sample_images(data, "val", config.checked, numpy_rng(config.seed, "upscaler checked"))
    height, width = (side // config.unit(factor) * config.unit(factor) for side in data.patch_size)
    return np.ascontiguousarray(images[:, :height, :width])


def _compare(config: TrainUpscalerConfig, model: Upscaler, originals: NDArray[np.uint8], degradation: str) -> Upscaled:
    rng = torch.Generator().manual_seed(derive_seed(config.seed, "upscaler compared", degradation))
    return upscale_shrunken(model, originals, degradation, rng)


def _reconstruction_psnr(network: Autoencoder, originals: NDArray[np.uint8], engine: Engine) -> float:
    restored = reconstruct(network, originals, engine.device, engine.dtype)
    return reconstruction_error(originals, restored, engine.device).psnr


def _save(path: Path, info: ModelInfo, state: dict[str, Tensor], enlarged: dict[str, Upscaled]) -> ModelInfo:
    """Write the model directory, with pictures of originals, bicubic interpolation and the upscaler from the top."""

    def add_pictures(folder: Path) -> None:
        for name, images in enlarged.items():
            rows = np.concatenate([kind[:SHOWN] for kind in (images.originals, images.bicubic, images.upscaled)])
            save_png(grid(rows, min(SHOWN, len(images.originals))), folder / "pictures" / f"{name}.png")

    return save_model(path, info, state, add_pictures)


def _summary(
    config: TrainUpscalerConfig,
    trained: Trained,
    error: dict[str, UpscalingError],
    ceiling: float | None,
    engine: Engine,
    info: ModelInfo,
) -> TrainUpscalerSummary:
    return TrainUpscalerSummary(
        method=config.method,
        scale=config.scale,
        degradation=config.shrunk_by,
        crop=config.crop,
        parameters=trained.parameters,
        steps=engine.global_step,
        error=error,
        reconstruction_psnr=ceiling,
        perceptual=trained.perceptual,
        precision=str(engine.dtype).removeprefix("torch."),
        device=engine.device.type,
        digest=info.digest,
        warnings=_warnings(config, error, trained.perceptual),
    )


def _warnings(config: TrainUpscalerConfig, error: dict[str, UpscalingError], perceptual: str) -> list[str]:
    warnings = []
    errors = error[config.shrunk_by]
    if errors.psnr <= errors.bicubic_psnr and errors.ssim <= errors.bicubic_ssim:
        warnings.append(
            "The upscaler is further from the original images than bicubic interpolation is, by PSNR and by SSIM: "
            "train it for longer"
        )
    if config.is_adversarial and not perceptual:
        warnings.append("The upscaler was trained without a perceptual term (no lpips_weights)")
    return warnings


def _report(summary: TrainUpscalerSummary) -> None:
    for name, error in summary.error.items():
        say(
            f"train_upscaler: for images shrunk by '{name}', PSNR {error.psnr:.2f} dB and SSIM {error.ssim:.3f}; "
            f"bicubic interpolation has {error.bicubic_psnr:.2f} dB and {error.bicubic_ssim:.3f}."
        )
    for warning in summary.warnings:
        say(f"train_upscaler: {warning}")
