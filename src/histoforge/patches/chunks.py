"""The pixels of a patch set in files of bounded size, which are verified and read one by one."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histoforge.core.digests import digest_file
from histoforge.core.errors import PatchSetError, StorageError
from histoforge.core.timings import spent
from histoforge.patches.images import ImageReader, ImageWriter, Pixels, image_reader, image_suffix, image_writer
from histoforge.storage import Location
from histoforge.storage.local import LocalLocation

CHUNK_BYTES = 32 << 20
"""Size of the pixels in a chunk, before encoding. A constant, so that equal patches have equal files and digests."""
FOLDER = "images"
OPEN_CHUNKS = 8
READING_THREADS = 4


def rows_per_chunk(patch_size: tuple[int, int]) -> int:
    """Return the number of patches of a size, (height, width) in px, in each chunk but the last."""
    return max(1, CHUNK_BYTES // max(1, 3 * patch_size[0] * patch_size[1]))


def chunk_names(count: int, patch_size: tuple[int, int]) -> list[str]:
    """Return the names of the chunks of `count` patches, 'images/00000.npy' and so on, in the order of the rows."""
    chunks = math.ceil(count / rows_per_chunk(patch_size))
    return [f"{FOLDER}/{number:05d}{image_suffix(patch_size)}" for number in range(chunks)]


def stored_name(name: str, digest: str) -> str:
    """Return the name of a chunk at a location that holds chunks of many patch sets: its digest, and its suffix."""
    return f"{digest}{Path(name).suffix}"


class ChunkWriter:
    """Write patches as chunks, one file at a time.

    Attributes:
        files: SHA-256 of each finished chunk by its name.
        count: number of patches written.
    """

    def __init__(self, directory: Path, patch_size: tuple[int, int], store: Location | None = None) -> None:
        """Write chunks of patches of one size.

        Args:
            directory: where the chunks are written.
            patch_size: height and width, px.
            store: a location to which each finished chunk is moved under its `stored_name`; None leaves it where it is.
        """
        self.files: dict[str, str] = {}
        self.count = 0
        self._directory, self._patch_size, self._store = directory, patch_size, store
        self._rows = rows_per_chunk(patch_size)
        self._chunk: ImageWriter | None = None

    def write(self, images: Pixels) -> None:
        """Append uint8 [n, H, W, 3].

        Raises:
            StorageError: the store cannot be written.
        """
        while len(images):
            if self._chunk is None:
                (self._directory / FOLDER).mkdir(exist_ok=True)
                self._chunk = image_writer(self._directory / FOLDER, self._patch_size, f"{len(self.files):05d}")
            fitting = images[: self._rows - self.count % self._rows]
            self._chunk.write(fitting)
            self.count += len(fitting)
            images = images[len(fitting) :]
            if self.count % self._rows == 0:
                self.close()

    def close(self) -> None:
        """Finish the last chunk."""
        if self._chunk is None:
            return
        self._chunk.close()
        name = f"{FOLDER}/{self._chunk.name}"
        path = self._directory / name
        self.files[name], self._chunk = digest_file(path), None
        if self._store is not None:
            _store(self._store, stored_name(name, self.files[name]), path.read_bytes(), self.files[name])
            path.unlink()
            path.parent.rmdir()

    def reader(self) -> "ChunkReader":
        """Return a reader of the finished chunks."""
        location = LocalLocation(self._directory) if self._store is None else self._store
        files = [(name if self._store is None else stored_name(name, sha), sha) for name, sha in self.files.items()]
        return ChunkReader(location, files, self._rows, (self.count, *self._patch_size, 3))


def _store(store: Location, name: str, content: bytes, digest: str) -> None:
    """Write a chunk, unless the location has it already.

    Raises:
        StorageError: the location cannot be written, or has something else under the name.
    """
    stored = store.read_hashed(name, digest)
    if stored is None:
        store.write(name, content, only_over="")
    elif stored[1] != digest:
        raise StorageError(f"{store}/{name} is damaged (its SHA-256 is not its name): move it away.")


class ChunkReader:
    """Random access to patches in chunks, each of which is verified before any of its pixels are used.

    A chunk in a folder is verified once and read through a memory map. A chunk in a bucket is fetched whole, and the
    `OPEN_CHUNKS` last used ones stay in memory.

    Args:
        location: where the chunks are.
        files: name and SHA-256 of each chunk, in the order of the rows.
        rows: number of patches in each chunk but the last.
        shape: shape of all patches, [N, H, W, 3].
    """

    def __init__(
        self, location: Location, files: Sequence[tuple[str, str]], rows: int, shape: tuple[int, int, int, int]
    ) -> None:
        self.shape = shape
        self._location, self._files, self._rows = location, files, rows
        self._verified: set[int] = set()
        self._chunk = lru_cache(maxsize=OPEN_CHUNKS)(self._open)

    def read(self, rows: NDArray[np.int64]) -> Pixels:
        """Return the patches at `rows`, uint8 [n, H, W, 3].

        Raises:
            PatchSetError: a chunk is missing or damaged, and the message names its file.
        """
        chunks = rows // self._rows
        numbers = np.unique(chunks).tolist()
        if len(numbers) == 1:
            return self._read(numbers[0], rows - numbers[0] * self._rows)
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)

        def fill(number: int) -> None:
            here = np.flatnonzero(chunks == number)
            images[here] = self._read(number, rows[here] - number * self._rows)

        if numbers:
            with ThreadPoolExecutor(READING_THREADS) as pool:
                list(pool.map(fill, numbers))
        return images

    def verify(self) -> None:
        """Verify every chunk.

        Raises:
            PatchSetError: a chunk is missing or damaged.
        """
        for number in range(len(self._files)):
            self._read(number, np.zeros(1, np.int64))

    def _read(self, number: int, rows: NDArray[np.int64]) -> Pixels:
        try:
            with spent("read", patches=len(rows)) as work:
                images = self._chunk(number).read(rows)
                work.bytes = images.nbytes
            if images.shape[1:] != self.shape[1:]:
                raise ValueError(f"its patches have the shape {images.shape[1:]}")
        except (pa.ArrowException, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PatchSetError(
                f"{self._name(number)} does not match the description of its patch set ({reason}): make the set again."
            ) from None
        return images

    def _open(self, number: int) -> ImageReader:
        """Open a chunk and verify its digest and its number of patches."""
        reader = self._open_file(number)
        count = min(self._rows, self.shape[0] - number * self._rows)
        if reader.shape[0] != count:
            raise ValueError(f"it has {reader.shape[0]} patches instead of {count}")
        return reader

    def _open_file(self, number: int) -> ImageReader:
        name, expected = self._files[number]
        if isinstance(self._location, LocalLocation):
            path = self._location.root / name
            if number not in self._verified:
                self._check(number, digest_file(path) if path.is_file() else None, expected)
                self._verified.add(number)
            return image_reader(path)
        stored = self._location.read_hashed(name, expected)
        self._check(number, stored and stored[1], expected)
        return image_reader(Path(name), stored and stored[0])

    def _check(self, number: int, digest: str | None, expected: str) -> None:
        if digest is None:
            raise PatchSetError(f"There is no file {self._name(number)}, part of a patch set: copy or make it again.")
        if digest != expected:
            raise PatchSetError(damaged(self._name(number)))

    def _name(self, number: int) -> str:
        return f"{self._location}/{self._files[number][0]}"


def damaged(name: str) -> str:
    """Return the message for a file of a patch set with another SHA-256 than the recorded one."""
    return f"{name} is damaged (its SHA-256 differs from the recorded one): copy or make it again."
