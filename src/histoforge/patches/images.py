"""The two formats of files with the pixels of patches, with a common reader and writer interface."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Protocol

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
ENCODED_FROM_PX = 256
ROWS_PER_GROUP = 32
BYTES_PER_GROUP = 1 << 26
"""A row group ends with the row that exceeds this, so that large images do not accumulate in memory."""

_PARSING = RLock()
"""Held while NumPy parses the header of an array: in Python 3.11, the `ast.literal_eval` that it uses fails if the
garbage collector lets another thread parse in between (github.com/python/cpython/issues/106905)."""


class ImageReader(Protocol):
    """Random access to patches without loading all of them into memory.

    Attributes:
        shape: shape of all patches, [N, H, W, 3], or [N] for encoded ones, whose size is unknown until they are read.
    """

    shape: tuple[int, ...]

    def read(self, rows: NDArray[np.int64]) -> Pixels:
        """Return the patches at `rows`, uint8 [n, H, W, 3]."""
        ...


class ImageWriter(Protocol):
    """Write patches batch by batch without keeping them in memory."""

    name: str

    def write(self, images: Pixels) -> None:
        """Append uint8 [n, H, W, 3]."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class NpyReader:
    """Reader of an array, through a memory map or in its bytes, which are not copied."""

    def __init__(self, source: Path | bytes) -> None:
        with _PARSING:
            self.array: Pixels = (
                np.load(source, mmap_mode="r", allow_pickle=False) if isinstance(source, Path) else _array_in(source)
            )
        if self.array.dtype != np.uint8 or self.array.ndim != 4:
            raise ValueError(f"it contains {self.array.dtype} {self.array.shape}, not uint8 [n, H, W, 3]")
        self.shape = self.array.shape

    def read(self, rows: NDArray[np.int64]) -> Pixels:
        return np.asarray(self.array[rows])


def _array_in(content: bytes) -> Pixels:
    """Return the array in a file's content that `NpyWriter` wrote."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it has another version of NumPy's format")
    shape, in_columns, kind = np.lib.format.read_array_header_1_0(file)
    if in_columns:
        raise ValueError("its pixels are in another order")
    return np.frombuffer(content, kind, offset=file.tell()).reshape(shape)


class NpyWriter:
    """Writer that appends to an array; the header is written again at the end, when the count is known."""

    def __init__(self, path: Path, patch_size: tuple[int, int]) -> None:
        self.name = path.name
        self._shape = (*patch_size, 3)
        self._count = 0
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._write_header()

    def write(self, images: Pixels) -> None:
        self._file.write(np.ascontiguousarray(images).data)
        self._count += len(images)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        """Write the header, whose length is the same for every count because NumPy pads it for growth."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)


class ParquetReader:
    """Reader of a table with one encoded image per row, by row groups."""

    def __init__(self, source: Path | bytes) -> None:
        self._file = pq.ParquetFile(source if isinstance(source, Path) else pa.BufferReader(source), memory_map=True)
        groups = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._first_rows = np.concatenate([[0], np.cumsum(groups)])
        self.shape: tuple[int, ...] = (self._file.metadata.num_rows,)
        self._group = lru_cache(maxsize=8)(self._read_group)

    def _read_group(self, group: int) -> list[bytes]:
        return self._file.read_row_group(group, columns=["image"]).column("image").to_pylist()

    def read(self, rows: NDArray[np.int64]) -> Pixels:
        images: list[Pixels | None] = [None] * len(rows)
        for index in np.argsort(rows, kind="stable"):
            group = int(np.searchsorted(self._first_rows, rows[index], side="right")) - 1
            encoded = self._group(group)[int(rows[index] - self._first_rows[group])]
            images[index] = np.asarray(Image.open(io.BytesIO(encoded)))
        return np.stack([image for image in images if image is not None])


class ParquetWriter:
    """Writer of a table with one encoded image per row, by row groups."""

    _schema = pa.schema([("image", pa.binary())])

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._pending: list[bytes] = []
        self._encoders = ThreadPoolExecutor(os.cpu_count())
        self._file = pq.ParquetWriter(path, self._schema, compression="none")

    def write(self, images: Pixels) -> None:
        for encoded in self._encoders.map(encode_png, images):
            self._pending.append(encoded)
            if len(self._pending) == ROWS_PER_GROUP or sum(map(len, self._pending)) > BYTES_PER_GROUP:
                self._flush()

    def close(self) -> None:
        self._flush()
        self._encoders.shutdown()
        self._file.close()

    def _flush(self) -> None:
        if self._pending:
            self._file.write_table(pa.table({"image": self._pending}, schema=self._schema))
            self._pending = []


def encode_png(image: Pixels) -> bytes:
    """Encode an image, uint8 [H, W, 3], as a PNG file.

    With these settings, files are as small as Pillow's at its fastest level and take less than half of the time.
    """
    png = imagecodecs.PNG
    return bytes(imagecodecs.png_encode(image, level=1, strategy=png.STRATEGY.RLE, filter=png.FILTER.PAETH))


def image_suffix(patch_size: tuple[int, int]) -> str:
    """Return the suffix of files with patches of a size, (height, width) in px: large ones are encoded."""
    return ".parquet" if max(patch_size) >= ENCODED_FROM_PX else ".npy"


def image_writer(directory: Path, patch_size: tuple[int, int], stem: str = "images") -> ImageWriter:
    """Return the writer of the file `stem`, with its suffix, for a patch size (height, width) in px."""
    path = directory / f"{stem}{image_suffix(patch_size)}"
    return NpyWriter(path, patch_size) if path.suffix == ".npy" else ParquetWriter(path)


def image_reader(path: Path, content: bytes | None = None) -> ImageReader:
    """Return the reader of a file from `image_writer`, or of its content if that was fetched."""
    source = path if content is None else content
    return NpyReader(source) if path.suffix == ".npy" else ParquetReader(source)
