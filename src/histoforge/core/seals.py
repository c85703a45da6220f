"""Documents that say their schema version and carry a digest over all that they say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoforge.core.digests import digest_json
from histoforge.core.documents import read_json
from histoforge.core.errors import HistoforgeError, ModelError
from histoforge.core.files import write_json
from histoforge.core.progress import say

VERSION, DIGEST = "schema_version", "digest"

_warned: set[Path] = set()


def sealed(document: Mapping[str, Any], version: int, digest: str = DIGEST) -> dict[str, Any]:
    """Return a document of JSON values with its schema version, and under `digest` the digest over all of it."""
    values = json.loads(json.dumps({VERSION: version, **document}, allow_nan=False))
    values.pop(digest, None)
    return {**values, digest: digest_json(values)}


def write_sealed(path: Path, document: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Write a document with its seal, atomically, and return it as it was written."""
    written = sealed(document, version)
    write_json(path, written)
    return written


def read_sealed(
    path: Path, version: int, advice: str, kind: type[HistoforgeError] = ModelError, digest: str = DIGEST
) -> dict[str, Any]:
    """Read a document and verify its seal; one of an earlier version, which has none, is read with a warning.

    Args:
        path: the file.
        version: the newest schema version that is understood.
        advice: what the user can do about a damaged one, for the end of the sentence.
        kind: the error to raise.
        digest: the entry that holds the digest.

    Raises:
        HistoforgeError: of the class `kind`: it is no JSON object, was changed, or is of a newer schema.
    """
    document = read_json(path, kind, advice)
    if not isinstance(document, dict):
        raise kind(f"{path} is damaged (it holds no JSON object): {advice}.")
    said = document.get(VERSION, version)
    if not isinstance(said, int):
        raise kind(f"{path} is damaged ({VERSION} is no whole number): {advice}.")
    if said > version:
        raise kind(f"{path} has schema {said}, newer than {version}, which this version reads: upgrade histoforge.")
    if not document.get(digest):
        warn_of_former_version(path)
    elif document[digest] != digest_json({name: value for name, value in document.items() if name != digest}):
        raise kind(f"{path} was changed after it was written (its digest does not fit): {advice}.")
    return document


def warn_of_former_version(path: Path) -> None:
    """Say once that a document carries no digest."""
    if path.resolve() not in _warned:
        _warned.add(path.resolve())
        say(f"{path} is of an earlier version of histoforge and carries no digest: damage to it goes unnoticed.")


def file_below(folder: Path, name: str) -> Path | None:
    """Return the file that a document names below its folder; None where there is none, or it lies elsewhere."""
    path = folder / name
    below = ".." not in Path(name).parts and not Path(name).is_absolute()
    return path if below and path.is_file() else None
