"""Copying a tree so that what was copied before a break need not be copied again."""

import json
import os
from pathlib import Path

from histoforge.core.errors import StorageError
from histoforge.core.files import explained_write_errors, sync, sync_tree
from histoforge.storage.location import Entry, Location
from histoforge.storage.transfers import in_parallel

JOURNAL = ".sync.jsonl"


def sync_down(location: Location, folder: Path) -> int:
    """Copy everything at `location` to the new directory `folder`, going on where an earlier call was broken off.

    Until it is whole, it lies in the hidden directory `.<folder>.sync.partial` beside `folder`, with a journal of what
    arrived; a file that changed at the location since is fetched again. `folder` appears when it is whole.

    Returns:
        How many files were fetched.

    Raises:
        StorageError: `folder` is there already, nothing is at the location, or a file did not arrive whole; then the
            next call goes on from there.
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
    """Copy every file below `folder` to `location` that is not there with the same content; nothing is deleted there.

    Args:
        folder: the directory to copy from.
        location: where to.
        last: a file that is put only when all others are there, so that whoever finds it finds them all.

    Returns:
        How many files were put.

    Raises:
        StorageError: `folder` holds no files, or a file did not arrive whole; then the next call goes on from there.
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
    """The entries that arrived; a line that was cut off when the process was killed does not count."""
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
