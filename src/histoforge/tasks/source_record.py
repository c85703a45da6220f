"""Detect new training data by a record of the source at its last training, kept at a location."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from histoforge import __version__
from histoforge.core.digests import digest_json
from histoforge.core.documents import read_json
from histoforge.core.errors import StorageError
from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.core.settings import Settings
from histoforge.storage import check_writable, open_location

NAME = "source.json"
FORMAT, VERSION = "histoforge.source_record", 1


class SourceChange(Settings):
    """The changes of a source since its last record.

    Attributes:
        changed: True if a run has something to do.
        said: the reason, in one sentence.
        record: the record to keep once the run has succeeded.
    """

    changed: bool
    said: str
    record: dict[str, Any]


def find_news(source: str, dataset_digest: str, settings: Mapping[str, Any], state: str) -> SourceChange:
    """Compare a source with the record of the last successful run.

    Args:
        source: location of the slides.
        dataset_digest: digest over the names, sizes and versions of all files there.
        settings: settings of the run. Changed settings count as news, like changed slides. Kubeflow turns integers
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
        return SourceChange(changed=True, said=f"{source} has not been trained on before.", record=record)
    if last["dataset_digest"] != dataset_digest:
        return SourceChange(changed=True, said=f"{source} has changed since {last['time']}.", record=record)
    if last["settings_digest"] != record["settings_digest"]:
        return SourceChange(changed=True, said=f"The settings have changed since {last['time']}.", record=record)
    said = f"{source} holds no new slides since {last['time']}, so there is nothing to train."
    return SourceChange(changed=False, said=said, record=record)


def keep(record: Mapping[str, Any], state: str) -> None:
    """Store a record for the next run to read.

    Raises:
        StorageError: if the location refuses access or does not answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_json(Path(folder) / NAME, dict(record))
        open_location(state).put(Path(folder) / NAME, NAME)


def run_find_news(
    source: str,
    dataset_digest: str,
    settings: Mapping[str, Any],
    state: str,
    writes: Iterable[str],
    summary: Any,
    metrics: Any,
) -> tuple[bool, str]:
    """Run `find_news` as a task of a pipeline, and return whether to go on and the record as JSON.

    If the run goes on, the task first checks that it can write to `state` and the locations `writes` ('' for none).
    """
    from histoforge.tasks.component import task
    from histoforge.tasks.task_outputs import write_report

    with task("find_news") as meter:
        news = find_news(source, dataset_digest, settings, state)
        for place in filter(None, (state, *writes) if news.changed else ()):
            check_writable(open_location(place))
        say(news.said)
        write_report(metrics, summary, {"changed": int(news.changed)}, f"{news.said}\n", meter)
    return news.changed, json.dumps(news.record)


def run_record_source(record: str, state: str) -> str:
    """Run `keep` as a task of a pipeline, and return the dataset's digest."""
    from histoforge.tasks.component import task

    with task("record_source"):
        said = json.loads(record)
        keep(said, state)
        say(f"{said['source']} is recorded at {state}")
    return str(said["dataset_digest"])


def _read(state: str) -> dict[str, Any] | None:
    location = open_location(state)
    if not any(entry.name == NAME for entry in location.entries()):
        return None
    with tempfile.TemporaryDirectory() as folder:
        location.get(NAME, Path(folder) / NAME)
        try:
            said = read_json(Path(folder) / NAME, StorageError)
            if said["format"] == FORMAT and {"dataset_digest", "settings_digest", "time"} <= set(said):
                return dict(said)
        except (StorageError, ValueError, KeyError, TypeError):
            pass
    raise StorageError(f"{NAME} at {state} is no record of a source: delete it to train anew, or name another place.")
