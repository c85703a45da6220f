"""Generators and patches that somebody else made: kind, name and digest, checked before a pixel is read."""

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from histoforge.core.documents import read_json
from histoforge.core.errors import ModelError, SourceError
from histoforge.core.text import join_words
from histoforge.generators.imported.kinds import COMPONENTS, INDEX
from histoforge.ingest.origin import read_origin
from histoforge.ingest.synthetic import class_labels, outline_synthetic
from histoforge.patches.matching import PatchFormat, check_same_format
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.storage import Location, digest_of_source, open_location
from histoforge.tasks.scan_source import source_classes
from histoforge.training.model_files import INFO_NAME, read_model_info

RESERVED = re.compile(r"baseline|traditional|control.*")
"""Names of arms without synthetic patches."""


class Entrant(NamedTuple):
    """A set of synthetic patches, or a generator.

    Attributes:
        step: the step that imports it.
        name: its short name.
        digest: digest of names, sizes and versions of its files.
    """

    step: str
    name: str
    digest: str


def real_classes(source: str, preset: str, overrides: Mapping[str, Any], seed: int) -> list[str]:
    """Return the classes of the real source; empty if only `preprocess` can tell."""
    cutting: Any = step_config(STEPS["preprocess"], preset, overrides, {"source": source, "seed": seed})
    location = open_location(source)
    try:
        return source_classes(cutting, location, location.source_entries())
    except SourceError:  # `preprocess` will say what is wrong with the source
        return []


def check_entrant(
    location: str,
    classes: Sequence[str],
    patch_size: tuple[int, int],
    *,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
) -> Entrant:
    """Return what is at a location, after checking what its names and descriptions tell.

    Args:
        location: a set of synthetic images, a model directory, a saved pipeline of diffusers, or a folder of such.
        classes: the real classes; empty if they are unknown.
        patch_size: height and width of the real patches, px.
        seed, preset, overrides: as for `step_config`.

    Raises:
        SourceError: a set has no images, or classes that do not fit.
        ModelError: a generator is not supported, or does not fit.
        StorageError: the location does not exist, is empty, or does not answer.
    """
    opened = open_location(location)
    entries = opened.source_entries()
    indices = [entry.name for entry in entries if Path(entry.name).name == INDEX and entry.name.count("/") < 2]
    stored = any(entry.name == INFO_NAME for entry in entries)
    if not indices and not stored:
        return check_set(location, classes, seed=seed, preset=preset, overrides=overrides)
    config: Any = step_config(STEPS["import_generator"], preset, overrides, {"source": location, "seed": seed})
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        if stored:
            _check_model(opened, PatchFormat(classes, patch_size), Path(temporary))
        for name in indices:
            _check_pipeline(opened, name, Path(temporary))
        origin = read_origin(opened, entries, Path(temporary)).with_settings(config, location)
    return Entrant("import_generator", origin.name, digest_of_source(opened))


def _check_model(location: Location, real: PatchFormat, temporary: Path) -> None:
    """Check the description of a model directory of this program."""
    with location.fetched(INFO_NAME, temporary) as path:
        info = read_model_info(path.parent, "generator")
    expected = real if real.classes else real._replace(classes=info.classes)
    advice = "give a generator that was trained on such patches"
    check_same_format(f"The generator {location} draws", info, "the source", expected, advice)


def _check_pipeline(location: Location, name: str, temporary: Path) -> None:
    """Check that a saved pipeline of diffusers is of a supported kind."""
    advice = "save the pipeline again with save_pretrained"
    with location.fetched(name, temporary) as path:
        index = read_json(path, ModelError, advice)
    kind = index.get("_class_name") if isinstance(index, dict) else None
    if kind not in COMPONENTS:
        raise ModelError(f"{location}/{name} is a {kind}, and supported are {join_words(list(COMPONENTS))}: {advice}.")


def check_set(
    location: str, classes: Sequence[str], *, seed: int, preset: str, overrides: Mapping[str, Any]
) -> Entrant:
    """Return a set of synthetic images, after checking its files and classes; see `check_entrant`."""
    config: Any = step_config(STEPS["import_patches"], preset, overrides, {"source": location, "seed": seed})
    opened = open_location(location)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        stated, theirs = outline_synthetic(opened, config.labels, Path(temporary))
    origin = stated.with_settings(config, location)
    if classes:
        class_labels(theirs, classes, origin.classes, config.ignored, str(opened))
    return Entrant("import_patches", origin.name, digest_of_source(opened))


def distinct(name: str, taken: Iterable[str]) -> str:
    """Return a name that none of `taken` and no arm of real patches has."""
    taken = list(taken)
    if RESERVED.fullmatch(name):
        name = f"set_{name}"[:20]
    numbered = (f"{name[:17]}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(free for free in numbered if free not in taken)
