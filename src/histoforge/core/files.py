"""Atomic files and directories: what stands under a final name is whole, whatever happened while it was written."""

import ctypes
import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histoforge.core.documents import read_json  # noqa: F401 - found beside write_json
from histoforge.core.errors import StorageError

MANY_FILES = 64
_REFUSED = (
    errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EFBIG, errno.EIO,
    errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ,
)  # fmt: skip


@contextmanager
def atomic_file(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` that becomes `path` when the block ends well.

    Args:
        path: the file.
        durable: whether it must survive a loss of power; False is for files of a directory that is synced as a whole.

    Raises:
        StorageError: the disk is full or `path` cannot be written; nothing is left behind.
    """
    path = Path(path)
    with explained_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _sibling(path)
        try:
            yield temporary
            if durable:
                sync(temporary)
            os.replace(temporary, path)
            if durable:
                sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a new temporary directory beside `path` that becomes `path` when the block ends well.

    A directory that stood at `path` before is replaced, and is still whole if the block fails.

    Raises:
        StorageError: the disk is full or `path` cannot be written; nothing is left behind.
    """
    path = Path(path)
    with explained_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, old = _sibling(path), _sibling(path)
        try:
            temporary.mkdir()
            yield temporary
            sync_tree(temporary)
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def explained_write_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a refused write under `path` into a sentence for the user."""
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
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Flush all files below a directory: many of them at once, by flushing their file system, where the system can."""
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
        return bool(syncfs(descriptor) == 0)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and infinity are refused."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _sibling(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
