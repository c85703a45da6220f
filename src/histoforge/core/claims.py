"""Decide, before any work, whether a command may write its outputs, and lock them while it does.

An output may take an unused path, or replace an empty directory or an earlier result of its kind. It replaces an
earlier result only if the user allows it or the same command made it. It never replaces anything that is, contains, or
is inside an input.
"""

import fcntl
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoforge.core.digests import digest_json
from histoforge.core.errors import StorageError
from histoforge.core.files import explained_write_errors, write_json
from histoforge.core.results import (
    FILE_KINDS,
    KINDS,
    RECORD,
    check_replaceable,
    check_replaceable_file,
    read_json_or_empty,
)
from histoforge.core.unfinished import clear, restore


@dataclass(frozen=True)
class Output:
    """A directory or a file that a command writes.

    Attributes:
        path: path of the output.
        kind: a key of `results.KINDS` for a directory, or of `results.FILE_KINDS` for a file.
    """

    path: Path
    kind: str

    def exists(self) -> bool:
        """Return whether `path` is an earlier result of this kind.

        Raises:
            StorageError: `path` is something else.
        """
        if self.kind in FILE_KINDS:
            return check_replaceable_file(self.path, self.kind)
        return check_replaceable(self.path, (self.kind,))

    @property
    def name(self) -> str:
        """The name of the kind in messages."""
        return FILE_KINDS[self.kind].name if self.kind in FILE_KINDS else KINDS[self.kind].name


@contextmanager
def claimed(
    outputs: Sequence[Output], inputs: Mapping[str, Path], *, overwrite: bool = False, same: bool = False
) -> Iterator[None]:
    """Check that the outputs may be written, and keep other commands from writing them inside the block.

    The leftovers of a killed command are removed first. When several processes train together, only the first one
    claims.

    Args:
        outputs: the files and directories to write.
        inputs: the paths to read, keyed by their names in messages.
        overwrite: whether earlier results may be replaced.
        same: whether the same command with the same settings made the earlier results.

    Raises:
        StorageError: an output may not be written, or another command is writing it.
    """
    if int(os.environ.get("RANK", "0")):
        yield
        return
    for path in inputs.values():
        restore(path)
    for output in outputs:
        check_apart(output.path, inputs)
    with ExitStack() as stack:
        for output in outputs:
            lock = locked_folder if output.kind == "slides" else locked
            stack.enter_context(lock(output.path))
            clear(output.path if output.kind == "slides" else output.path.parent)
            if output.exists() and not overwrite and not same:
                raise StorageError(
                    f"{output.path} contains an earlier result ({output.name}): add --overwrite to replace it, "
                    "or name another output."
                )
        yield


def check_apart(output: Path, inputs: Mapping[str, Path]) -> None:
    """Check that writing `output` cannot touch an input, following links.

    Raises:
        StorageError: `output` is, contains, or is inside an input.
    """
    target = _lineage(output)
    for name, path in inputs.items():
        source = _lineage(path)
        relations = (
            ("is", target[0] == source[0]),
            ("is inside", source[0] in target),
            ("contains", target[0] in source),
        )
        relation = next((relation for relation, applies in relations if applies), "")
        if relation:
            raise StorageError(f"The output {output} {relation} {name}, which would be lost: name another output.")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other commands from writing `path` inside the block, if the file system supports locks.

    Raises:
        StorageError: another command is writing it.
    """
    lock = path.with_name(f".{path.name}.histoforge-lock")
    with explained_write_errors(path):
        created = [folder for folder in (lock.parent, *lock.parent.parents) if not folder.exists()]
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _take(lock, path)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # keep folders that are no longer empty
            for folder in created:
                folder.rmdir()


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Lock a folder that is written into and never replaced, without writing anything beside it; see `locked`.

    Raises:
        StorageError: another command is writing into the folder, or the folder cannot be created.
    """
    with explained_write_errors(path):
        created = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StorageError(
            f"{path} is being written by another process: wait until that command ends, or name another output."
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)
        with suppress(OSError):
            for folder in created:
                folder.rmdir()


def command_digest(settings: Mapping[str, Any], inputs: Mapping[str, Path | Sequence[Path] | None]) -> str:
    """Return the SHA-256 of a command's settings, as JSON values, and of the paths of its inputs."""
    paths = {name: _resolved(path) for name, path in inputs.items()}
    return digest_json({"settings": dict(settings), "inputs": paths})


def recorded(folder: Path, command: str) -> str:
    """Return the digest that `record` wrote into a folder for a command, or '' if there is none."""
    return str(read_json_or_empty(folder / RECORD).get(command, ""))


def record(folder: Path, command: str, digest: str) -> None:
    """Record in a folder that the command with this digest made, or is making, its content."""
    if int(os.environ.get("RANK", "0")) or not folder.is_dir():
        return
    write_json(folder / RECORD, {**read_json_or_empty(folder / RECORD), command: digest})


def _lineage(path: Path) -> list[tuple[int, int] | str]:
    """Return the identities of a path and of all folders above it, following links.

    An identity is the device and inode or, if the path does not exist, its name.
    """
    resolved = Path(path).resolve()
    return [_identity(folder) for folder in (resolved, *resolved.parents)]


def _identity(path: Path) -> tuple[int, int] | str:
    try:
        status = path.stat()
    except OSError:
        return str(path)
    return status.st_dev, status.st_ino


def _take(lock: Path, path: Path) -> int:
    """Open and lock a file, and return its descriptor."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise StorageError(
                f"{path} is being written by {owner}: wait until that command ends, or name another output."
            ) from None
        except OSError:
            return descriptor
        if _identity(lock) == (os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
            return descriptor
        os.close(descriptor)  # its former owner removed it in between


def _resolved(path: Path | Sequence[Path] | None) -> Any:
    if path is None:
        return None
    return str(path.resolve()) if isinstance(path, Path) else [str(item.resolve()) for item in path]
