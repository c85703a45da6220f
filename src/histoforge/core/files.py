"""Atomic files and directories: whatever has its final name is complete, even if writing was interrupted."""

import ctypes
import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histoforge.core.errors import StorageError
from histoforge.core.results import check_replaceable
from histoforge.core.timings import spent
from histoforge.core.unfinished import begin, clear_once, end

MANY_FILES = 64
_REFUSED = (
    errno.EACCES,
    errno.EROFS,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def atomic_file(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is renamed to `path` if the block succeeds.

    Args:
        path: the file to write.
        durable: whether the file must survive a power loss. Pass False for files in a directory that is synced as a
            whole.

    Raises:
        StorageError: the disk is full or `path` cannot be written; nothing is left behind.
    """
    path = Path(path)
    with explained_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_once(path.parent)
        temporary = begin(path)
        try:
            yield temporary
            if durable:
                sync(temporary)
            os.replace(temporary, path)
            if durable:
                sync(path.parent)
        finally:
            end(temporary)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a new temporary directory beside `path` that is renamed to `path` if the block succeeds.

    It replaces an empty directory or an earlier result at `path`, which stays intact if the block fails or the process
    is killed.

    Raises:
        StorageError: `path` is something else, the disk is full, or `path` cannot be written; nothing is left
            behind.
    """
    path = Path(path)
    with explained_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_once(path.parent)
        check_replaceable(path)
        temporary = begin(path)
        try:
            temporary.mkdir()
            yield temporary
            sync_tree(temporary)
            check_replaceable(path)
            _put_in_place(temporary, path)
            sync(path.parent)
        finally:
            end(temporary)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Give a directory its final name; an earlier one is deleted, or left under the name `temporary` for deletion.

    The two names are swapped atomically if the system supports it. Otherwise the earlier directory gets a temporary
    name from which `unfinished.restore` recovers it if the process is killed between the two renames.
    """
    if not path.exists():
        os.rename(temporary, path)
    elif not _swapped(temporary, path):
        earlier = begin(path, "replaced")
        os.rename(path, earlier)
        try:
            os.rename(temporary, path)
        except BaseException:
            os.rename(earlier, path)
            raise
        finally:
            end(earlier)


def _swapped(first: Path, second: Path) -> bool:
    """Swap two names atomically, and return whether the system and the file system support it."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    if swap is None:
        return False
    return bool(swap(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)


@contextmanager
def explained_write_errors(path: Path) -> Iterator[None]:
    """Turn the error of a full disk or a failed write under `path` into a sentence for the user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"The disk is full while writing {path}: free some space and run it again.") from error
        if error.errno in _REFUSED:
            raise StorageError(f"{path} cannot be written ({error.strerror}): choose another output.") from error
        raise


def sync(path: Path) -> None:
    """Flush a file or a directory entry to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with spent("write"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush all files below a directory; if there are many, flush their whole file system where supported."""
    files = [file for file in Path(folder).rglob("*") if file.is_file()]
    if len(files) >= MANY_FILES and _sync_file_system(folder):
        return
    for file in files:
        sync(file)


def _sync_file_system(folder: Path) -> bool:
    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with spent("write"):
            return bool(syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON; NaN and infinity raise ValueError."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
