"""A version of a model as a directory: the model, its card, and a list of files that marks it as complete."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from histoforge.core.digests import digest_file, digest_json
from histoforge.core.documents import known_shape, read_json
from histoforge.core.errors import ModelError
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.results import LEFT_BESIDE
from histoforge.models.card import CARD_NAME, README_NAME, ModelCard

COMPLETE = "version.json"
MODEL = "model"


def pack(model: Path, card: ModelCard, folder: Path) -> Path:
    """Create the directory of a version: the model, its card as JSON and as a page, and the list that completes it."""
    with atomic_directory(folder) as directory:
        shutil.copytree(model, directory / MODEL, ignore=shutil.ignore_patterns(*LEFT_BESIDE))
        write_json(directory / CARD_NAME, card.model_dump(mode="json"))
        (directory / README_NAME).write_text(card.as_markdown(), encoding="utf-8")
        files = file_digests(directory)
        write_json(directory / COMPLETE, {"schema_version": 1, "version": version_name(files), "files": files})
    return folder


def version_name(files: Mapping[str, str]) -> str:
    """Return the name of a version with these files, by their SHA-256."""
    return digest_json(dict(files))[:16]


def version_of(folder: Path) -> str:
    """Return the name of a packed version."""
    with known_shape(Path(folder) / COMPLETE, ModelError):
        return str(read_json(Path(folder) / COMPLETE, ModelError)["version"])


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a directory, by relative name.

    The record of the command that made the directory is left out.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name not in LEFT_BESIDE)
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in paths}
