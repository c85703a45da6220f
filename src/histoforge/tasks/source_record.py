"""Detect new training data by a record of the source at its last training, kept at a location."""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from histoforge import __version__
from histoforge.core.digests import digest_json
from histoforge.core.documents import read_json
from histoforge.core.errors import StorageError
from histoforge.core.files import write_json
from histoforge.core.settings import Settings
from histoforge.storage import open_location

NAME = "source.json"
FORMAT, VERSION = "histoforge.source_record", 1


class SourceChange(Settings):
    """The changes of a source since its last record.

    Attributes:
        changed: True if a run has something to do.
        reason: the reason, in one sentence.
        record: the record to keep once the run has succeeded.
    """

    changed: bool
    reason: str
    record: dict[str, Any]


def detect_changes(source: str, dataset_digest: str, settings: Mapping[str, Any], state: str) -> SourceChange:
    """Compare a source with the record of the last successful run.

    Args:
        source: location of the slides.
        dataset_digest: digest over the names, sizes and versions of all files there.
        settings: settings of the run. Changed settings count as a change, like changed slides. Kubeflow turns integers
            into floats, so both count as equal.
        state: location of the record.

    Raises:
        StorageError: if the location does not answer, or the record there is damaged.
    """
    record = {
        "format": FORMAT,
        "schema_version": VERSION,
        "source": source,
        "dataset_digest": dataset_digest,
        "settings_digest": digest_json(json.loads(json.dumps(settings), parse_int=float)),
        "code_version": __version__,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    last = _read(state)
    if last is None:
        return SourceChange(changed=True, reason=f"{source} has not been trained on before.", record=record)
    if last["dataset_digest"] != dataset_digest:
        return SourceChange(changed=True, reason=f"{source} has changed since {last['time']}.", record=record)
    if last["settings_digest"] != record["settings_digest"]:
        return SourceChange(changed=True, reason=f"The settings have changed since {last['time']}.", record=record)
    reason = f"{source} has no new slides since {last['time']}, so there is nothing to train."
    return SourceChange(changed=False, reason=reason, record=record)


def keep_record(record: Mapping[str, Any], state: str) -> None:
    """Store a record for the next run to read.

    Raises:
        StorageError: if the location refuses access or does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / NAME, dict(record))
        open_location(state).put(Path(folder) / NAME, NAME)


def _read(state: str) -> dict[str, Any] | None:
    location = open_location(state)
    if not any(entry.name == NAME for entry in location.entries()):
        return None
    with tempfile.TemporaryDirectory() as folder:
        location.get(NAME, Path(folder) / NAME)
        try:
            record = read_json(Path(folder) / NAME, StorageError)
            if record["format"] == FORMAT and {"dataset_digest", "settings_digest", "time"} <= set(record):
                return dict(record)
        except (StorageError, ValueError, KeyError, TypeError):
            pass
    raise StorageError(
        f"{NAME} at {state} is not a record of a source: delete it to train again, or give another location."
    )
