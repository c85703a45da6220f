"""The folder of `histoforge run`: which run wrote it, and the check that this run may write there."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histoforge.cli.outputs import check_folder, local_path
from histoforge.core.claims import check_apart, locked_folder
from histoforge.core.errors import StorageError
from histoforge.core.files import write_json
from histoforge.core.results import check_replaceable_file, read_json_or_empty
from histoforge.core.unfinished import clear, is_unfinished

NAME = "run.json"
REPORT, METRICS = "report.html", "metrics.json"


@contextmanager
def claimed_run(
    out: Path, command: Mapping[str, Any], source: str, links: Collection[str], overwrite: bool
) -> Iterator[None]:
    """Claim the folder of a run inside the block.

    Args:
        out: the folder.
        command: the command, as `run.json` records it: pipeline, preset, overrides and further parameters.
        source: the source that the run reads.
        links: names that the run gives to links in the folder.
        overwrite: True if the report of another run in the folder may be replaced.

    Raises:
        StorageError: if the folder contains something else, another run or its report, or is inside the source.
    """
    check_folder(out)
    path = local_path(source)
    check_apart(out, {f"--source {path}": path} if path else {})
    with locked_folder(out):
        _check(out, command, links, overwrite)
        _clear(out)
        if not (out / REPORT).exists():
            write_json(out / NAME, dict(command))
        yield


def is_run_folder(out: Path) -> bool:
    """Return True if a run, finished or not, has written to a folder."""
    return "pipeline" in read_json_or_empty(out / NAME) or (
        (out / "run.log").is_file() and (out / "artifacts").is_dir()
    )


def _check(out: Path, command: Mapping[str, Any], links: Collection[str], overwrite: bool) -> None:
    if not out.exists() or all(is_unfinished(entry.name) for entry in out.iterdir()):
        return
    if not is_run_folder(out):
        raise StorageError(f"{out} exists and is not the folder of a run: give a new folder, or move this one away.")
    for name in links:
        if (out / name).exists() and not (out / name).is_symlink():
            raise StorageError(
                f"{out / name} is in the place of a link that the run creates: move it away, or give a new folder."
            )
    kind = "ranking" if "methods" in read_json_or_empty(out / METRICS) else "metrics"
    existing = [check_replaceable_file(out / REPORT, "page"), check_replaceable_file(out / METRICS, kind)]
    if any(existing) and not overwrite and (changed := _difference(read_json_or_empty(out / NAME), command)):
        raise StorageError(
            f"{out} contains the report of another run ({changed}): add --overwrite, or give a new folder."
        )


def _difference(recorded: Mapping[str, Any], command: Mapping[str, Any]) -> str:
    """Return the first difference between two runs, or ''."""
    before, now = _flat(recorded), _flat(json.loads(json.dumps(command)))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not names:
        return ""
    name = names[0]
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{name} {before.get(name, 'unset')} instead of {now.get(name, 'unset')}{more}"


def _flat(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run by name, with those of steps and of the pipeline in one dict."""
    given = {name: value for name, value in arguments.items() if name not in ("seconds", "cached", "checkpoints")}
    return {**given.pop("overrides", {}), **given}


def _clear(out: Path) -> None:
    """Remove what tasks of killed runs left behind."""
    for folder in [out, *(path for path in (out / "artifacts").rglob("*") if path.is_dir() and not path.is_symlink())]:
        clear(folder)
