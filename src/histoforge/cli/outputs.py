"""Claims of a command's outputs, made before it does any work; see `core.claims`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from histoforge.core.claims import Output, claimed, command_digest, record, recorded
from histoforge.core.errors import StorageError
from histoforge.core.results import read_json_or_empty
from histoforge.core.settings import Settings
from histoforge.steps.table import Step

OVERWRITE = Annotated[bool, typer.Option("--overwrite", help="replace earlier results of the same kind")]
LOCATIONS = (
    "source",
    "annotations",
    "slide_cache",
    "images_location",
    "weights",
    "inception_weights",
    "lpips_weights",
    "models",
    "checkpoints",
)
"""Settings that name a location, in which no output may lie."""
CHANGEABLE = {"device", "workers", "slide_cache", "checkpoints", "checkpoint_every", "nodes"}
"""Settings that do not change the result of a command."""


@contextmanager
def claim_step(step: Step, config: Settings, paths: Mapping[str, Any], out: Path, overwrite: bool) -> Iterator[None]:
    """Claim the outputs of a step inside the block, and record there which command made them.

    Args:
        step: the step.
        config: its settings.
        paths: its inputs and outputs by keyword.
        out: the value of `--out`.
        overwrite: True if earlier results may be replaced.

    Raises:
        StorageError: if an output may not be written (see `core.claims.claimed`).
    """
    given = {port.name: paths[port.name] for port in step.inputs}
    digest = command_digest(config.model_dump(mode="json", exclude=CHANGEABLE), given)
    outputs = [Output(paths[port.name], port.kind) for port in step.outputs]
    check_folder(out)
    same = recorded(out, step.name) == digest
    with claimed(outputs, input_paths(config, given), overwrite=overwrite, same=same):
        yield
        record(out, step.name, digest)


def input_paths(config: Settings, given: Mapping[str, Any]) -> dict[str, Path]:
    """Return the paths on this machine that a command reads or stores data at, by their options."""
    paths = {}
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        paths.update({f"--{name.replace('_', '-')} {path}": path for path in values if path is not None})
    for name in LOCATIONS:
        path = local_path(str(getattr(config, name, "")))
        if path is not None:
            paths[f"--{name.replace('_', '-')} {path}"] = path
    return paths


def local_path(location: str) -> Path | None:
    """Return the path of a location on this machine; None if it is elsewhere, and for ''."""
    if "://" not in location:
        return Path(os.path.expanduser(location)) if location.strip() else None
    return Path(unquote(urlsplit(location).path)) if location.lower().startswith("file:") else None


@contextmanager
def claim_page(
    kind: str, page: Path, settings: Mapping[str, Any], given: Mapping[str, Path], overwrite: bool
) -> Iterator[str]:
    """Claim a page and the JSON file beside it inside the block.

    Args:
        kind: kind of the JSON file, a key of `core.results.FILE_KINDS`.
        page: the HTML file.
        settings: settings of the page, as JSON values.
        given: inputs of the page, by option.
        overwrite: True if an earlier page may be replaced.

    Yields:
        The digest of the command, which the JSON file records as `command`.

    Raises:
        StorageError: if the page may not be written (see `core.claims.claimed`).
    """
    numbers = page.with_suffix(".json")
    digest = command_digest(settings, given)
    same = read_json_or_empty(numbers).get("command") == digest
    inputs = {f"{name} {path}": path for name, path in given.items()}
    with claimed([Output(page, "page"), Output(numbers, kind)], inputs, overwrite=overwrite, same=same):
        yield digest


def resolved_parent(out: Path) -> Path:
    """Return `out` with its parent folders resolved, so that '.' and '..' get names; a link stays a link."""
    return out.resolve() if out.name in ("", "..") else out.parent.resolve() / out.name


def check_folder(out: Path) -> None:
    """Check that `out` can be a folder of outputs: it does not exist, or it is a folder and not a link to one.

    Raises:
        StorageError: if it is a file or a link.
    """
    if out.is_symlink():
        raise StorageError(
            f"--out is {out}, a link to {os.readlink(out)}: give the path that it leads to, or a new folder."
        )
    if out.exists() and not out.is_dir():
        raise StorageError(f"--out is {out}, a file: give a new folder.")
