"""`history.json`: the epochs of a generator's training. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoforge.core.seals import DIGEST, VERSION, read_sealed, write_sealed

FILE_NAME, SCHEMA_VERSION = "history.json", 1


def write_history(folder: Path, history: Mapping[str, Any]) -> None:
    """Write a history into a model directory."""
    write_sealed(folder / FILE_NAME, history, SCHEMA_VERSION)


def read_history(folder: Path, advice: str = "train the generator again") -> dict[str, Any]:
    """Return the history in the directory of a model or of its scores; empty if there is none.

    Args:
        folder: the directory.
        advice: what the user can do if it is damaged.

    Raises:
        ModelError: it is damaged.
    """
    file = folder / FILE_NAME
    content = read_sealed(file, SCHEMA_VERSION, advice) if file.is_file() else {}
    return {name: value for name, value in content.items() if name not in (VERSION, DIGEST)}
