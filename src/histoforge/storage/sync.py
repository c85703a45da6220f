"""Resumable copies of trees: a file that arrived before an interruption is not copied again."""

import json
import os
from pathlib import Path

from histoforge.core.errors import StorageError
from histoforge.core.files import explained_write_errors, sync, sync_tree
from histoforge.storage.location import Entry, Location
from histoforge.storage.transfers import in_parallel

JOURNAL = ".sync.jsonl"


def sync_down(location: Location, folder: Path) -> int:
    """Copy everything at `location` to the new directory `folder`, resuming an interrupted call.

    Until it is complete, the copy is the hidden directory `.<folder>.sync.partial` beside `folder`, with a journal of
    the files that arrived. A file that has changed at the location since then is fetched again.

    Returns:
        The number of files fetched.

    Raises:
        StorageError: `folder` already exists, the location has no files, or a file did not arrive complete. In the
            last case, the next call resumes the copy.
    """
    folder = Path(folder)
    if folder.exists():
        raise StorageError(f"{folder} is there already: name a new folder, or remove it.")
    partial = folder.with_name(f".{folder.name}.sync.partial")
    entries = {entry.name: entry for entry in location.source_entries()}
    with explained_write_errors(folder):
        partial.mkdir(parents=True, exist_ok=True)
        arrived = _read_journal(partial)
        missing = [entry for entry in entries.values() if not _is_there(partial, entry, arrived)]
        with open(partial / JOURNAL, "a", encoding="utf-8") as journal:

            def fetch(entry: Entry) -> None:
                location.get(entry.name, partial / entry.name, durable=False)
                journal.write(json.dumps([entry.name, entry.size, entry.version]) + "\n")
                journal.flush()

            in_parallel(f"reading {location}", missing, fetch)
        for path in [path for path in partial.rglob("*") if path.is_file()]:
            if path.relative_to(partial).as_posix() not in entries:
                path.unlink()
        sync_tree(partial)
        os.replace(partial, folder)
        sync(folder.parent)
    return len(missing)


def sync_up(folder: Path, location: Location, last: str = "") -> int:
    """Copy the files below `folder` that `location` lacks or has with other content; nothing is deleted there.

    Args:
        folder: the directory to copy from.
        location: the target.
        last: a file to put only after all others, so that its presence means that the tree is complete.

    Returns:
        The number of files put.

    Raises:
        StorageError: `folder` has no files, or a file did not arrive complete. In the last case, the next call resumes
            the copy.
    """
    folder = Path(folder)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if not names or (last and last not in names):
        raise StorageError(f"The folder {folder} lacks {last or 'any file'} to copy to {location}: make it again.")
    there = {entry.name: entry for entry in location.entries()}
    missing = [
        name for name in names if name not in there or name == last or not location.holds(there[name], folder / name)
    ]
    in_parallel(
        f"writing {location}",
        [name for name in missing if name != last],
        lambda name: location.put(folder / name, name),
    )
    if last:
        location.put(folder / last, last)
    return len(missing)


def _read_journal(partial: Path) -> set[tuple[str, int, str]]:
    """Return the entries that arrived, ignoring a line that was cut off when the process was killed."""
    try:
        lines = (partial / JOURNAL).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return set()
    found = set()
    for line in lines:
        try:
            name, size, version = json.loads(line)
        except ValueError:
            continue
        found.add((str(name), int(size), str(version)))
    return found


def _is_there(partial: Path, entry: Entry, arrived: set[tuple[str, int, str]]) -> bool:
    path = partial / entry.name
    known = (entry.name, entry.size, entry.version) in arrived
    return known and path.is_file() and path.stat().st_size == entry.size
