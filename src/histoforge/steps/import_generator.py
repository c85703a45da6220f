"""Turn a generator that somebody else trained into a generator like any other."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histoforge.core.errors import ModelError, SettingsError, StorageError
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.core.settings import nearest
from histoforge.generators.imported.diffusers_pipeline import SavedPipeline, read_pipeline
from histoforge.generators.imported.fitted import FittedGenerator
from histoforge.generators.imported.kinds import IMPORTED, INDEX, installed_generator
from histoforge.generators.loading import load_generator
from histoforge.ingest.fitting import plan_fitting
from histoforge.ingest.origin import Origin, read_origin
from histoforge.patches.description import PatchSetInfo, read_info
from histoforge.patches.matching import check_same_format
from histoforge.steps.import_generator_config import ImportGeneratorConfig, ImportGeneratorSummary
from histoforge.storage import open_location
from histoforge.storage.local import LocalLocation
from histoforge.training.device import resolve_device
from histoforge.training.model_files import INFO_NAME, ModelInfo, load_model, save_model
from histoforge.training.tensors import explained_reading


@dataclass(frozen=True)
class Imported:
    """A generator of somebody else.

    Attributes:
        kind: for the summary.
        method: a key of `IMPORTED`.
        config: the part of its settings that its kind needs.
        state: its tensors.
        classes: the names of its own classes, by its own labels.
        origin: what is stated about it.
    """

    kind: str
    method: str
    config: dict[str, Any]
    state: dict[str, Tensor]
    classes: list[str]
    origin: Origin


def run(config: ImportGeneratorConfig, *, patches: Path, generator: Path) -> ImportGeneratorSummary:
    """Read the generator, draw one image of each class as a test, and write a model directory.

    Args:
        config: the settings.
        patches: patch set of real patches, which gives the classes, the patch size and the resolution.
        generator: model directory to write, with all weights in `model.safetensors`.

    Raises:
        SettingsError: neither a source nor an entry point is given, or no package has that entry point.
        ModelError: the generator is not supported or damaged, or draws none of the classes.
        SourceError: its images do not fit the real patches.
    """
    began = time.monotonic()
    real = read_info(patches)
    if _is_model(config):
        return _take_over(config, real, generator, began)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        imported = _open(config, Path(temporary))
    where = config.source or f"the installed generator '{config.entry_point}'"
    origin = imported.origin.with_settings(config, config.source or config.entry_point)
    drawn = _drawn_classes(imported.classes, real.classes, origin.classes, where)
    fitting, warnings = plan_fitting(config.fit, origin.mpp, real, where)
    info = ModelInfo(
        kind="generator",
        method=imported.method,
        config={
            **imported.config,
            "labels": [imported.classes.index(name) for name in drawn.values()],
            "fit": fitting.fit,
            "scale": fitting.scale,
            "origin": origin.stated,
        },
        classes=real.classes,
        patch_size=real.patch_size,
        mpp=real.mpp,
        training={
            "source": config.source or config.entry_point,
            "warnings": [*warnings, *origin.warnings],
            "parameters": {"generator": _count(imported.state)},
        },
    )
    size = _check_draws(info, imported.state, resolve_device(config.device), config.seed)
    info = save_model(generator, info, imported.state)
    for warning in info.training["warnings"]:
        say(f"import_generator: warning: {warning}")
    return ImportGeneratorSummary(
        **origin.stated,
        kind=imported.kind,
        source=config.source,
        classes=drawn,
        image_size=size,
        scale=fitting.scale,
        parameters=_count(imported.state),
        warnings=info.training["warnings"],
        digest=info.digest,
        seconds=round(time.monotonic() - began, 2),
    )


def _is_model(config: ImportGeneratorConfig) -> bool:
    if not config.source:
        return False
    return any(entry.name == INFO_NAME for entry in open_location(config.source).source_entries())


def _take_over(config: ImportGeneratorConfig, real: PatchSetInfo, path: Path, began: float) -> ImportGeneratorSummary:
    """Copy a model directory of this program, such as a generator that was trained on another machine.

    Its origin is recorded among the facts of its training, so that it keeps its digest.
    """
    location = open_location(config.source)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        stated = read_origin(location, location.source_entries(), Path(temporary))

    def check_and_record(folder: Path) -> None:
        info = load_generator(folder, config.device).info
        advice = "give a generator that was trained on such patches"
        check_same_format(f"The generator {location} draws", info, "the patch set", real, advice)
        recorded = {"origin": f"histoforge {info.code_version}, method {info.method}", **info.origin}
        completed = {name: getattr(stated, name) or recorded.get(name, "") for name in stated.stated}
        origin = stated.model_copy(update=completed).with_settings(config, config.source)
        warnings = list(dict.fromkeys([*info.training.get("warnings", []), *origin.warnings]))
        training = {**info.training, "origin": origin.stated, "source": config.source, "warnings": warnings}
        write_json(folder / INFO_NAME, info.model_copy(update={"training": training}).sealed().model_dump(mode="json"))

    location.get_tree(path, check_and_record)
    info, state = load_model(path, "generator")
    for warning in info.training["warnings"]:
        say(f"import_generator: warning: {warning}")
    return ImportGeneratorSummary(
        **info.training["origin"],
        kind=info.method,
        source=config.source,
        classes={name: name for name in info.classes},
        image_size=info.patch_size,
        scale=1.0,
        parameters=_count(state),
        warnings=info.training["warnings"],
        digest=info.digest,
        seconds=round(time.monotonic() - began, 2),
    )


def _open(config: ImportGeneratorConfig, temporary: Path) -> Imported:
    """Read the generator from its location or its package."""
    folder, origin = None, Origin()
    if config.source:
        location = open_location(config.source)
        origin = read_origin(location, location.source_entries(), temporary)
        if isinstance(location, LocalLocation):
            folder = location.root
        else:
            folder = temporary / "generator"
            location.get_tree(folder)
    if config.entry_point:
        return _of_package(config.entry_point, folder, origin)
    if folder is None:
        raise SettingsError("import_generator has nothing to import: give a source, or an entry_point.")
    return _of_diffusers(folder, origin, config)


def _of_package(name: str, folder: Path | None, origin: Origin) -> Imported:
    from safetensors.torch import load_file

    entry = installed_generator(name)
    state: dict[str, Tensor] = {}
    if folder is not None:
        files = sorted(folder.glob("*.safetensors"))
        if len(files) != 1:
            raise StorageError(f"{folder} has {len(files)} .safetensors files: give a folder with exactly one.")
        with explained_reading(files[0], ModelError, "copy it again"):
            state = load_file(files[0])
    stated = {"name": entry.name, "licence": entry.licence, "mpp": entry.mpp}
    missing = {key: value for key, value in stated.items() if value and not getattr(origin, key)}
    return Imported(
        "installed",
        "installed",
        {"entry_point": name},
        state,
        list(entry.classes),
        origin.model_copy(update=missing),
    )


def _of_diffusers(folder: Path, origin: Origin, config: ImportGeneratorConfig) -> Imported:
    """Read one conditional pipeline, or one unconditional pipeline in each class's folder."""
    if (folder / INDEX).is_file():
        pipelines = {"": read_pipeline(folder)}
        classes = pipelines[""].classes
    else:
        pipelines = {path.parent.name: read_pipeline(path.parent) for path in sorted(folder.glob(f"*/{INDEX}"))}
        classes = list(pipelines)
    conditional = "" in pipelines
    _check_conditions(folder, pipelines, conditional, config.guidance)
    state = {
        f"{number}.{name}": tensor
        for number, pipeline in enumerate(pipelines.values())
        for name, tensor in pipeline.state.items()
    }
    settings = {
        "pipelines": [pipeline.config for pipeline in pipelines.values()],
        "conditional": conditional,
        "steps": config.steps,
        "guidance": config.guidance,
    }
    kind = str(next(iter(pipelines.values())).config["pipeline"])
    return Imported(kind, "diffusers", settings, state, classes, origin)


def _check_conditions(folder: Path, pipelines: Mapping[str, SavedPipeline], conditional: bool, guidance: float) -> None:
    if not pipelines:
        raise ModelError(
            f"{folder} has no {INDEX}, and none of its folders has: give a folder that a diffusers pipeline was saved "
            "to, or a folder with one for each class."
        )
    for name, pipeline in pipelines.items():
        if conditional and not pipeline.classes:
            raise ModelError(
                f"The pipeline {folder} draws no classes: give a folder with one such pipeline for each class."
            )
        if not conditional and pipeline.classes:
            raise ModelError(f"The pipeline {folder / name} draws several classes itself: give it as the source.")
        if guidance != 1 and pipeline.config["pipeline"] != "DiTPipeline":
            raise SettingsError(f"guidance={guidance:g} needs a DiTPipeline, and {folder} is another: leave it at 1.")


def _drawn_classes(
    theirs: Sequence[str], classes: Sequence[str], mapping: Mapping[str, str], where: str
) -> dict[str, str]:
    """Return the generator's own class behind each real class; names are the same in any case.

    Raises:
        ModelError: there is none.
    """
    spelled = {name.casefold(): name for name in theirs}
    sources = {real.casefold(): source for source, real in mapping.items()}
    drawn = {}
    for name in classes:
        wanted = sources.get(name.casefold(), name)
        if wanted.casefold() not in spelled:
            shown = f"{', '.join(theirs[:5])}{' …' if len(theirs) > 5 else ''}"
            raise ModelError(
                f"{where} draws no class '{wanted}'{nearest(wanted, theirs)}: map one of its classes ({shown}) to it "
                f"with class_map='NAME={name}'."
            )
        drawn[name] = spelled[wanted.casefold()]
    return drawn


def _check_draws(info: ModelInfo, state: dict[str, Tensor], device: torch.device, seed: int) -> tuple[int, int]:
    """Draw an image of each class and fit it; return the size of the images, (height, width) in px.

    Raises:
        ModelError: the images are not finite, or not RGB.
        SourceError: they are too small.
    """
    generator: FittedGenerator = IMPORTED[info.method].load(info, state, device)
    images = generator.images(torch.arange(len(info.classes)), torch.Generator().manual_seed(seed))
    generator.fit(images)
    return int(images.shape[2]), int(images.shape[3])


def _count(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())
