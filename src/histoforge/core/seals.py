"""Documents with their schema version and a digest over their content."""

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
    """Return a document of JSON values with its schema version and, under `digest`, the digest over all of it."""
    values = json.loads(json.dumps({VERSION: version, **document}, allow_nan=False))
    values.pop(digest, None)
    return {**values, digest: digest_json(values)}


def write_sealed(path: Path, document: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Write a sealed document atomically, and return it as written."""
    written = sealed(document, version)
    write_json(path, written)
    return written


def read_sealed(
    path: Path, version: int, advice: str, error_class: type[HistoforgeError] = ModelError, digest: str = DIGEST
) -> dict[str, Any]:
    """Read a document and verify its seal; a document of an earlier version, which has no seal, causes a warning.

    Args:
        path: the file.
        version: the newest supported schema version.
        advice: what the user can do about a damaged document, for the end of the message.
        error_class: the class of the error to raise.
        digest: the entry that contains the digest.

    Raises:
        HistoforgeError: the file is not a JSON object, was changed, or has a newer schema; the class is `error_class`.
    """
    document = read_json(path, error_class, advice)
    if not isinstance(document, dict):
        raise error_class(f"{path} is damaged (it is not a JSON object): {advice}.")
    schema = document.get(VERSION, version)
    if not isinstance(schema, int):
        raise error_class(f"{path} is damaged ({VERSION} is not a whole number): {advice}.")
    if schema > version:
        raise error_class(
            f"{path} has schema {schema}, newer than {version}, which this version reads: upgrade histoforge."
        )
    if not document.get(digest):
        warn_of_former_version(path)
    elif document[digest] != digest_json({name: value for name, value in document.items() if name != digest}):
        raise error_class(f"{path} was changed after it was written (its digest does not match): {advice}.")
    return document


def warn_of_former_version(path: Path) -> None:
    """Warn once that a document has no digest."""
    if path.resolve() not in _warned:
        _warned.add(path.resolve())
        say(f"{path} is of an earlier version of histoforge and has no digest, so damage to it cannot be detected.")


def file_below(folder: Path, name: str) -> Path | None:
    """Return the file that a document names below its folder, or None if it does not exist or lies elsewhere."""
    path = folder / name
    below = ".." not in Path(name).parts and not Path(name).is_absolute()
    return path if below and path.is_file() else None
