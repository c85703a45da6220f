"""Common interface of folders and S3 prefixes: list, get, put and delete files, and copy whole trees."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_directory
from histoforge.storage.transfers import in_parallel


@dataclass(frozen=True)
class Entry:
    """One file below a location.

    Attributes:
        name: path below the location, with '/' between its parts.
        size: size in bytes.
        version: changes when the file does: the S3 etag, or the modification time (ns) and the size.
    """

    name: str
    size: int
    version: str


class Location(ABC):
    """A folder, or the objects below an S3 prefix. `str(location)` is the user's text without credentials.

    Every method raises StorageError with a one-sentence message if the location does not exist, denies access, is full
    or stops responding.
    """

    @abstractmethod
    def entries(self) -> list[Entry]:
        """Return all files below the location, at any depth, sorted by name; none if it does not exist yet."""

    @abstractmethod
    def get(self, name: str, path: Path, durable: bool = True) -> None:
        """Copy the file `name` to `path`, which is either complete and verified or does not appear at all.

        Args:
            name: the file.
            path: the target.
            durable: whether the file must survive a power loss at once; pass False if a whole tree is flushed later.
        """

    @abstractmethod
    def put(self, path: Path, name: str) -> None:
        """Copy the file at `path` to `name`, which is then either complete and verified or unchanged."""

    @abstractmethod
    def holds(self, entry: Entry, path: Path) -> bool:
        """Return whether `entry` has the same content as the file at `path`, as far as known without downloading it."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file `name` if it exists."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether there is at least one file below the location."""

    @abstractmethod
    def read(self, name: str) -> tuple[bytes, str] | None:
        """Return the content of a small file and its version for `write`, or None if there is no such file."""

    @abstractmethod
    def read_hashed(self, name: str, expected: str) -> tuple[bytes, str] | None:
        """Return the content of a file and its SHA-256, or None if there is no such file.

        Content is hashed once where it has the expected SHA-256, which shows that it arrived as it was stored.

        Args:
            name: the file.
            expected: the SHA-256 that the caller has for it. Other content is returned all the same, with its own.
        """

    @abstractmethod
    def write(self, name: str, content: bytes, only_over: str | None = None) -> bool:
        """Write `content` atomically to the file `name`.

        Args:
            name: the file.
            content: its new content.
            only_over: replace the file only if it has this version, which `read` returned; '' writes the file only if
                it does not exist, and None always writes it. A server without support for conditional writes always
                replaces the file, so concurrent writers must read it again afterwards.

        Returns:
            Whether the file was written.
        """

    @abstractmethod
    def child(self, name: str) -> "Location":
        """Return the location `name` below this one, whether or not it exists."""

    @contextmanager
    def fetched(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield a path at which the file `name` can be read inside the block.

        A file in a folder is read in place; an S3 object is downloaded below `folder` and removed afterwards.
        """
        path = Path(folder) / name
        self.get(name, path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def source_entries(self) -> list[Entry]:
        """Return the entries of a location that must not be empty.

        Raises:
            StorageError: the location has no files.
        """
        entries = self.entries()
        if not entries:
            raise StorageError(f"There is nothing at {self}: correct the location, or put files there.")
        return entries

    def get_tree(self, folder: Path, check: Callable[[Path], None] | None = None) -> None:
        """Copy everything to the directory `folder`, several files at a time, with progress.

        `folder` appears, and replaces an earlier result, only once the copy is complete.

        Args:
            folder: the directory to write.
            check: called with the copy before it gets its final name; it raises if the copy is not as expected.

        Raises:
            StorageError: the location has no files, a file did not arrive complete, or `folder` is something else.
        """
        entries = self.source_entries()
        with atomic_directory(Path(folder)) as partial:
            in_parallel(f"reading {self}", entries, lambda entry: self.get(entry.name, partial / entry.name, False))
            if check is not None:
                check(partial)

    def put_tree(self, folder: Path, last: str = "") -> int:
        """Copy the files below the directory `folder` that this location lacks or has with other content.

        Several files are copied at a time, with progress, and nothing is deleted. After an interruption, the next call
        copies the rest.

        Args:
            folder: the directory to copy from.
            last: a file to copy, always, after all others, so that its presence means that the tree is complete.

        Returns:
            The number of files copied.

        Raises:
            StorageError: `folder` has no files, or a file did not arrive complete.
        """
        folder = Path(folder)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if not names or (last and last not in names):
            raise StorageError(f"The folder {folder} lacks {last or 'any file'} to copy to {self}: make it again.")
        existing = {entry.name: entry for entry in self.entries()}
        missing = [
            name
            for name in names
            if name != last and not (name in existing and self.holds(existing[name], folder / name))
        ]
        in_parallel(f"writing {self}", missing, lambda name: self.put(folder / name, name))
        if last:
            self.put(folder / last, last)
        return len(missing) + bool(last)


def checked_name(name: str, where: object) -> str:
    """Return `name` if it is a path that stays below its location.

    Raises:
        StorageError: `name` is empty or absolute, or has an empty, '.' or '..' part, or a NUL.
    """
    if not name or "\0" in name or any(folder in ("", ".", "..") for folder in name.split("/")):
        raise StorageError(f"{name!r} in {where} cannot be the name of a file: rename it there.")
    return name


@contextmanager
def explained_copy(source: object, target: object) -> Iterator[None]:
    """Turn the operating system's error for a copy, other than a full disk, into a sentence for the user."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{source} could not be copied to {target} ({error.strerror or error}): check the disk and run it again."
        ) from error
