"""Location for a local folder."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from histoforge.core.digests import digest_file
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_file, explained_write_errors
from histoforge.core.results import LEFT_BESIDE
from histoforge.core.timings import Phase, spent
from histoforge.core.unfinished import is_unfinished
from histoforge.storage.location import Entry, Location, checked_name, explained_copy

_CHUNK = 1 << 20


class LocalLocation(Location):
    """The files below a directory, following links and skipping files that histoforge has not finished writing."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __str__(self) -> str:
        return str(self.root)

    def __repr__(self) -> str:
        return f"LocalLocation({str(self)!r})"

    def entries(self) -> list[Entry]:
        if self.root.is_file():
            raise StorageError(f"{self.root} is a file: name its folder.")
        with _explained_reading(self.root):
            return sorted(self._walk(), key=lambda entry: entry.name)

    def exists(self) -> bool:
        with _explained_reading(self.root):
            return next(self._walk(), None) is not None

    def get(self, name: str, path: Path, durable: bool = True) -> None:
        _copy("read", self.root / checked_name(name, self), Path(path), durable)

    def put(self, path: Path, name: str) -> None:
        _copy("write", Path(path), self.root / checked_name(name, self))

    def holds(self, entry: Entry, path: Path) -> bool:
        with _explained_reading(path):
            same_size = Path(path).stat().st_size == entry.size
            return same_size and digest_file(Path(path)) == digest_file(self.root / entry.name)

    def delete(self, name: str) -> None:
        path = self.root / checked_name(name, self)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path} cannot be deleted ({error.strerror}): grant write access to it.") from error
        for parent in path.parents:
            if parent == self.root or not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()

    def read(self, name: str) -> tuple[bytes, str] | None:
        path = self.root / checked_name(name, self)
        with _explained_reading(path):
            try:
                content = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return content, hashlib.sha256(content).hexdigest()

    def read_hashed(self, name: str, expected: str) -> tuple[bytes, str] | None:
        return self.read(name)  # whose version is the SHA-256

    def write(self, name: str, content: bytes, only_over: str | None = None) -> bool:
        path = self.root / checked_name(name, self)
        with explained_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            current = self.read(name) if only_over is not None else None
            if only_over is not None and (current[1] if current else "") != only_over:
                return False
            with atomic_file(path) as temporary:
                temporary.write_bytes(content)
        return True

    def child(self, name: str) -> "LocalLocation":
        return LocalLocation(self.root / checked_name(name, self))

    @contextmanager
    def fetched(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield the path of the file `name` itself, without using `folder`."""
        path = self.root / checked_name(name, self)
        if not path.is_file():
            raise _absent(path)
        yield path

    def _walk(self) -> Iterator[Entry]:
        seen = set()
        for folder, below, names in os.walk(self.root, followlinks=True, onerror=_raise):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                below.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            below_root = Path(folder).relative_to(self.root).as_posix()
            prefix = "" if below_root == "." else f"{below_root}/"
            for name in names:
                if name in LEFT_BESIDE or is_unfinished(name):
                    continue
                path = os.path.join(folder, name)
                _check_name(path)
                status = os.stat(path)
                yield Entry(f"{prefix}{name}", status.st_size, f"{status.st_mtime_ns}-{status.st_size}")


def _copy(phase: Phase, source: Path, target: Path, durable: bool = True) -> None:
    with explained_copy(source, target), _opened(source) as reader, atomic_file(target, durable) as temporary:
        size = os.fstat(reader.fileno()).st_size
        with spent(phase, size=size), open(temporary, "wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)
            written = writer.tell()
        if written != size:
            raise StorageError(f"{source} changed while it was copied ({size} to {written} bytes): run it again.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Allow one process at a time in the block, if the file system supports locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise _absent(path) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}): grant read access to it.") from error
    with file:
        yield file


def _check_name(path: str) -> None:
    """Reject a name that is not UTF-8: no table, JSON file or S3 server could store it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise StorageError(f"The name of the file {shown} is not UTF-8 text: rename it.") from None


def _absent(path: Path) -> StorageError:
    return StorageError(f"There is no file {path}: correct the name, or add the file.")


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _explained_reading(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename or root
        raise StorageError(
            f"{path} cannot be read ({error.strerror}): repair or remove it, or grant read access to it."
        ) from error
