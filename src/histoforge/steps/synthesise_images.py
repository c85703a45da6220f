"""Draw large images from a generator of patches and overviews (PathUp, section 3.3)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from histoforge.core.digests import digest_json
from histoforge.core.errors import ModelError, SettingsError
from histoforge.core.progress import Progress, say
from histoforge.core.results import remove_work, work_beside
from histoforge.core.seeds import derive_seed
from histoforge.core.text import counted, dimensions
from histoforge.generators.pathup import trained
from histoforge.generators.pathup.finished_images import FinishedImages
from histoforge.generators.pathup.solvers import make_solver, solver_times
from histoforge.generators.pathup.tracking import OVERVIEW, check_target, draw_large_image, draw_overview
from histoforge.generators.pathup.trained import TrainedPathup
from histoforge.generators.pathup.windows import Size, pixel_overlap, window_borders, window_corners
from histoforge.metrics.seams import seam_energy
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.images import Pixels
from histoforge.siamese.guide import Guide, load_guide
from histoforge.siamese.repeated_tissue import repeated_tissue
from histoforge.slides.synthetic_slides import write_synthetic_slides
from histoforge.steps.synthesise_images_config import SynthesiseImagesConfig, SynthesiseImagesSummary
from histoforge.storage import open_location
from histoforge.training import processes
from histoforge.training.device import resolve_device, resolve_precision
from histoforge.training.model_files import load_model
from histoforge.upscaling.trained import Upscaler, check_fits, load_upscaler

METHOD = "pathup"
NOT_IDENTITY = {"checkpoints", "device", "images_per_class", "write_slides"}
"""Parameters that do not change an image, so that a retry may change them."""


@dataclass(frozen=True)
class Models:
    """The networks that draw: the generator, and the upscaler if it enlarges the overviews.

    Attributes:
        generator, upscaler: see above.
    """

    generator: TrainedPathup
    upscaler: Upscaler | None

    @property
    def window(self) -> Size:
        """Height and width of the windows of an image, in steps of `factor` px."""
        return self.generator.window if self.upscaler is None else self.upscaler.window

    @property
    def factor(self) -> int:
        """Px of the image per step of a window's position."""
        return self.generator.autoencoder.factor if self.upscaler is None else self.upscaler.factor

    @property
    def digests(self) -> dict[str, str]:
        """Their digests by name."""
        upscaler = {} if self.upscaler is None else {"upscaler": self.upscaler.info.digest}
        return {"generator": self.generator.info.digest, **upscaler}


@dataclass(frozen=True)
class Target:
    """An image to draw.

    Attributes:
        label: its class.
        number: its number within the class.
    """

    label: int
    number: int

    @property
    def name(self) -> str:
        """Its name, also as a slide."""
        return f"synthetic-{self.label}-{self.number:04d}"


@dataclass(frozen=True)
class Drawn:
    """Cost of drawing: images that were finished before, and windows and seconds for the others."""

    resumed: int
    windows: int
    seconds: float


@dataclass(frozen=True)
class Findings:
    """Flaws of the images; see `SynthesiseImagesSummary`."""

    seams: float | None = None
    repeated: float | None = None


def run(
    config: SynthesiseImagesConfig,
    *,
    generator: Path,
    guide: Path | None = None,
    upscaler_model: Path | None = None,
    images: Path,
    slides: Path,
) -> SynthesiseImagesSummary:
    """Draw images of each class, and write them as a patch set and, if requested, as slides.

    An image depends on the generator, the settings, its class and its number alone. A restarted drawing resumes with
    the first image that was not finished. If there are several processes, they share the windows of each image.

    Args:
        config: the settings.
        generator: a generator of the method 'pathup' that was trained on patches and overviews.
        guide: a guide that was trained on such patches, to search each image for repeated tissue.
        upscaler_model: a trained upscaler, with the upscaler 'trained'.
        images: patch set to write: the large images. Finished images are in `<images>-drawing` until it is written.
        slides: folder to write: a TIFF per image and a slides.csv, if `write_slides` is set.

    Raises:
        SettingsError: the size does not fit the generator or the upscaler, the generator was trained without overviews
            or, if guidance is requested, without dropped conditions, or an upscaler is missing or not used.
        ModelError: the generator has another method, or the guide or the upscaler was trained on other patches.
    """
    started = time.monotonic()
    model = _open_generator(generator, config)
    loaded_guide = None if guide is None else _open_guide(guide, model, config.precision)
    models = Models(model, _open_upscaler(upscaler_model, config, model))
    processes.join(model.device)
    targets = [
        Target(label, number) for label in range(len(model.info.classes)) for number in range(config.images_per_class)
    ]
    work = work_beside(Path(images), "-drawing")
    finished = _finished_images(config, models, work)
    drawn = _draw_missing(config, models, targets, finished)
    findings = Findings()
    if processes.rank() == 0:  # the only one that has the images of an earlier run
        _write_images(images, config, models, targets, finished)
        patches = PatchSet.open(images)
        write_synthetic_slides(slides, patches if config.write_slides else None)
        findings = _examine(patches, loaded_guide)
        finished.delete()
        remove_work(work)
    return _summary(config, models, drawn, findings, time.monotonic() - started)


def _open_generator(path: Path, config: SynthesiseImagesConfig) -> TrainedPathup:
    """Load the generator, and check that it can draw what the settings ask for."""
    info, state = load_model(path, "generator")
    if info.method != METHOD:
        raise ModelError(
            f"The generator {path} has the method '{info.method}', which draws patches alone: give one that was "
            f"trained with the method '{METHOD}'."
        )
    device = resolve_device(config.device)
    model: TrainedPathup = trained.load(info, state, device)
    model.dtype = resolve_precision(config.precision, device)
    if config.guidance:
        model.set_guidance(config.guidance)
    check_target(config.image_size, info.patch_size, model.autoencoder.factor)
    model.condition(torch.zeros(1, dtype=torch.int64), OVERVIEW)
    return model


def _open_upscaler(path: Path | None, config: SynthesiseImagesConfig, model: TrainedPathup) -> Upscaler | None:
    """Load the upscaler if the settings ask for one, and check that it enlarges overviews to the size of an image."""
    if path is None and config.upscaler == "trained":
        raise SettingsError("upscaler=trained needs a model: pass the output of train_upscaler as --upscaler-model.")
    if path is None:
        return None
    if config.upscaler != "trained":
        raise SettingsError(
            f"upscaler={config.upscaler} does not use the model {path}: set upscaler=trained, or leave it out."
        )
    upscaler = load_upscaler(path, model.device, model.dtype)
    check_fits(upscaler, model.info.patch_size, config.image_size, model.info.mpp)
    return upscaler


def _open_guide(path: Path, model: TrainedPathup, precision: str) -> Guide:
    guide = load_guide(path, model.device, resolve_precision(precision, model.device))
    info = model.info
    guide.check_fits(info.classes, info.patch_size, info.mpp, "the generator")
    return guide


def _finished_images(config: SynthesiseImagesConfig, models: Models, work: Path) -> FinishedImages:
    identity = {**models.digests, **config.model_dump(mode="json", exclude=NOT_IDENTITY)}
    name = f"drawing-{digest_json(identity)[:12]}"
    mirror = open_location(config.checkpoints).child(name) if config.checkpoints and not processes.rank() else None
    return FinishedImages(work / name, mirror)


def _draw_missing(
    config: SynthesiseImagesConfig, models: Models, targets: list[Target], finished: FinishedImages
) -> Drawn:
    """Draw the images that are not finished yet."""
    missing = processes.from_main([target for target in targets if finished.find(target.name) is None])
    if len(missing) < len(targets):
        say(f"synthesise_images: {counted(len(targets) - len(missing), 'images')} of an earlier run are kept.")
    started, windows = time.monotonic(), 0
    with Progress("drawing", len(missing) * max(1, _steps(config, models)), "steps") as progress:

        def advance(batch: int) -> None:
            nonlocal windows
            windows += batch
            progress.advance(1)

        for target in missing:
            rng = torch.Generator().manual_seed(derive_seed(config.seed, "image", target.label, target.number))
            finished.save(target.name, _draw(config, models, target.label, rng, advance))
    return Drawn(len(targets) - len(missing), windows, time.monotonic() - started)


def _draw(
    config: SynthesiseImagesConfig, models: Models, label: int, rng: torch.Generator, advance: Callable[[int], None]
) -> Pixels:
    if models.upscaler is None:
        return draw_large_image(models.generator, label, config.image_size, config, rng, advance)
    overview = draw_overview(models.generator, label, rng)
    return models.upscaler.upscale(overview, rng, config.overlap, config.window_batch, advance)


def _write_images(
    path: Path, config: SynthesiseImagesConfig, models: Models, targets: list[Target], finished: FinishedImages
) -> None:
    """Write the finished images as a patch set, with the energy of their seams."""
    info, factor = models.generator.info, models.factor
    overlap = pixel_overlap(config.overlap, models.window)
    rows, columns = (
        [factor * border for border in window_borders(side // factor, window, overlap)]
        for side, window in zip(config.image_size, models.window, strict=True)
    )
    origin = {"method": info.method, "generator": info.digest, "seed": config.seed}
    origin |= {} if info.mpp is None else {"mpp": info.mpp}
    with PatchSetWriter.create(path, info.classes, config.image_size, info.mpp, synthetic=True) as writer:
        for target in targets:
            image = finished.load(target.name)
            seams = seam_energy(image[None], rows, columns, grid=factor)
            names = {"slide": target.name, "patient": target.name}
            writer.add(image[None], label=target.label, seams=np.nan if seams is None else seams, **names, **origin)
        made_by = {"step": "synthesise_images", "config": config.model_dump(mode="json", exclude=NOT_IDENTITY)}
        made_by |= {"borders": {"rows": rows, "columns": columns, "grid": factor}}
        made_by |= {"upscaled_by": config.upscaler if models.upscaler is None else models.upscaler.info.method}
        writer.finish({**made_by, **models.digests, "generator_seed": info.config.get("seed")})


def _examine(images: PatchSet, guide: Guide | None) -> Findings:
    """Return the mean seams of the images, and the share of repeated tissue if there is a guide."""
    seams = images.index["seams"].mean()
    repeated = None if guide is None else repeated_tissue(guide, images)
    return Findings(None if np.isnan(seams) else float(seams), repeated)


def _steps(config: SynthesiseImagesConfig, models: Models) -> int:
    """Return the denoising steps of an image."""
    if config.upscaler == "bicubic":
        return 0
    if models.upscaler is not None:
        return models.upscaler.steps
    alphas_cumprod = models.generator.alphas_cumprod
    return len(solver_times(make_solver(config.solver, alphas_cumprod, config.steps, config.strength)))


def _summary(
    config: SynthesiseImagesConfig, models: Models, drawn: Drawn, findings: Findings, seconds: float
) -> SynthesiseImagesSummary:
    height, width = (side // models.factor for side in config.image_size)
    digests, classes = models.digests, models.generator.info.classes
    return SynthesiseImagesSummary(
        generator=digests["generator"],
        upscaler=digests.get("upscaler", ""),
        images=dict.fromkeys(classes, config.images_per_class),
        size=dimensions(config.image_size),
        windows=len(window_corners((height, width), models.window, pixel_overlap(config.overlap, models.window))),
        steps=_steps(config, models),
        seams=findings.seams,
        repeated=findings.repeated,
        resumed=drawn.resumed,
        windows_per_second=round(drawn.windows / drawn.seconds, 3) if drawn.seconds else 0.0,
        seconds=round(seconds, 2),
    )
