"""What a place for files is, whether a folder or an S3 prefix: list, get, put, delete, and whole trees of these."""

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
        size: bytes.
        version: changes when the file does: the S3 etag, or the time of the last change (ns) and the size.
    """

    name: str
    size: int
    version: str


class Location(ABC):
    """A folder, or the objects below an S3 prefix. `str(location)` is what the user wrote, without credentials.

    Every method raises StorageError, one sentence, where the location does not exist, refuses, is full or stops
    answering.
    """

    @abstractmethod
    def entries(self) -> list[Entry]:
        """All files below the location, at any depth, sorted by name; none where nothing is there yet."""

    @abstractmethod
    def get(self, name: str, path: Path, durable: bool = True) -> None:
        """Copy the file `name` to `path`, which is whole and verified or not there at all.

        Args:
            name: the file.
            path: where to.
            durable: whether it must survive a loss of power at once; False where a whole tree is flushed afterwards.
        """

    @abstractmethod
    def put(self, path: Path, name: str) -> None:
        """Copy the file at `path` to `name`, which is whole and verified or what it was before."""

    @abstractmethod
    def holds(self, entry: Entry, path: Path) -> bool:
        """Whether the file `entry` has the same content as the file at `path`, as far as that is known without it."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file `name`; nothing happens where there is none."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is at least one file below the location."""

    @abstractmethod
    def read(self, name: str) -> tuple[bytes, str] | None:
        """Content and version of a small file, None where there is none; the version is for `write`."""

    @abstractmethod
    def write(self, name: str, content: bytes, only_over: str | None = None) -> bool:
        """Make `content` the file `name`, whole at once.

        Args:
            name: the file.
            content: what it is to hold.
            only_over: the version that `read` gave: another file than that stays, and so does any where this is ''.
                None replaces whatever is there. A server that knows no conditions replaces it all the same: whoever
                writes at the same time as others reads again afterwards.

        Returns:
            Whether it was written.
        """

    @abstractmethod
    def child(self, name: str) -> "Location":
        """The location `name` below this one, whether or not something is there."""

    @contextmanager
    def fetched(self, name: str, folder: Path) -> Iterator[Path]:
        """Yield a path at which the file `name` can be read inside the block.

        A file of a folder is read where it lies; an S3 object is fetched below `folder` and removed afterwards.
        """
        path = Path(folder) / name
        self.get(name, path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def source_entries(self) -> list[Entry]:
        """The entries of a location that is to be read.

        Raises:
            StorageError: nothing is there.
        """
        entries = self.entries()
        if not entries:
            raise StorageError(f"There is nothing at {self}: correct the location, or put files there.")
        return entries

    def get_tree(self, folder: Path, check: Callable[[Path], None] | None = None) -> None:
        """Copy everything to the directory `folder`, several files at a time, with progress.

        `folder` appears when it is whole; an earlier result that stood there is replaced then.

        Args:
            folder: the directory to write.
            check: called with the copy before it gets its name; it raises where the copy is not what is wanted.

        Raises:
            StorageError: nothing is there, a file did not arrive whole, or `folder` holds something else.
        """
        entries = self.source_entries()
        with atomic_directory(Path(folder)) as partial:
            in_parallel(f"reading {self}", entries, lambda entry: self.get(entry.name, partial / entry.name, False))
            if check is not None:
                check(partial)

    def put_tree(self, folder: Path, last: str = "") -> None:
        """Copy every file below the directory `folder`, several at a time, with progress.

        Args:
            folder: the directory to copy from.
            last: a file that is put only when all others are there, so that whoever finds it finds them all.

        Raises:
            StorageError: `folder` holds no files, or a file did not arrive whole.
        """
        folder = Path(folder)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if not names or (last and last not in names):
            raise StorageError(f"The folder {folder} lacks {last or 'any file'} to copy to {self}: make it again.")
        in_parallel(
            f"writing {self}", [name for name in names if name != last], lambda name: self.put(folder / name, name)
        )
        if last:
            self.put(folder / last, last)


def checked_name(name: str, where: object) -> str:
    """`name`, if it is a path that stays below its location.

    Raises:
        StorageError: it is empty or absolute, or has an empty, '.' or '..' part, or a NUL.
    """
    if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise StorageError(f"{name!r} in {where} cannot be the name of a file: rename it there.")
    return name


@contextmanager
def explained_copy(source: object, target: object) -> Iterator[None]:
    """Turn what the operating system says against a copy, other than a full disk, into a sentence for the user."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{source} could not be copied to {target} ({error.strerror or error}): check the disk and run it again."
        ) from error
