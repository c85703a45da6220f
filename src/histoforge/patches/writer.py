"""Write a patch set as a stream; it gets its final name only when it is complete."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge import __version__
from histoforge.core.digests import digest_file
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.timings import spent
from histoforge.patches.chunks import FOLDER, ChunkWriter
from histoforge.patches.description import INFO_NAME, SCHEMA_VERSION, PatchSetInfo
from histoforge.patches.images import Pixels
from histoforge.patches.patchset import INDEX_NAME, count_splits
from histoforge.storage import Location, check_writable, open_location
from histoforge.storage.local import LocalLocation

COLUMNS: dict[str, Any] = {
    "label": "int64",
    "class_name": "str",
    "patient": "str",
    "slide": "str",
    "level": "int64",
    "x": "int64",
    "y": "int64",
    "mpp": "float64",
    "split": "str",
}
DEFAULTS: dict[str, Any] = {
    "patient": "",
    "slide": "",
    "level": 0,
    "x": 0,
    "y": 0,
    "mpp": float("nan"),
    "split": "train",
}
BATCH = 256


class PatchSetWriter:
    """Write any number of patches as a patch set.

    >>> with PatchSetWriter.create(path, classes=["normal", "tumour"], patch_size=(96, 96), mpp=0.97) as writer:
    ...     writer.add(images, label=1, patient="p1", slide="s1", x=xs, y=ys)
    ...     writer.finish(made_by={"step": "preprocess"})

    Pixels are written to the disk as they arrive. `path` appears only if `finish` was called and the block succeeded.
    """

    def __init__(
        self,
        directory: Path,
        classes: Sequence[str],
        patch_size: tuple[int, int],
        mpp: float | None,
        synthetic: bool,
        images_location: str = "",
    ) -> None:
        self.directory = directory
        self.classes, self.patch_size = list(classes), (int(patch_size[0]), int(patch_size[1]))
        self.mpp, self.synthetic = mpp, synthetic
        self.info: PatchSetInfo | None = None
        self._tables: list[pd.DataFrame] = []
        self._store = open_location(images_location) if images_location else None
        if self._store is not None:
            check_writable(self._store)
        self._images = ChunkWriter(directory, self.patch_size, self._store)

    @classmethod
    @contextmanager
    def create(
        cls,
        path: Path,
        classes: Sequence[str],
        patch_size: tuple[int, int],
        mpp: float | None = None,
        synthetic: bool = False,
        images_location: str = "",
    ) -> Iterator["PatchSetWriter"]:
        """Yield a writer of the patch set `path`, which replaces an existing one once it is complete.

        Args:
            path: the directory to create.
            classes: class names; a label is an index into this list.
            patch_size: height and width, px.
            mpp: micrometres per pixel, or None.
            synthetic: whether a generator drew the patches.
            images_location: a location that keeps the pixels, named by their digests, in place of the directory; '' for
                the directory. Nothing there is replaced or deleted.

        Raises:
            StorageError: the disk is full, or `path` or the location cannot be written; nothing is left behind, except
                chunks at the location.
        """
        with atomic_directory(path) as directory:
            writer = cls(directory, classes, patch_size, mpp, synthetic, images_location)
            yield writer
            if writer.info is None:
                raise RuntimeError(f"finish() was not called on the writer of {path}")

    def add(self, images: Pixels, **columns: Any) -> None:
        """Append patches.

        Args:
            images: uint8 [n, H, W, 3].
            columns: a scalar or a sequence of length n for `label` and any other column of the index; further names
                (scores, method, generator, seed) become additional columns.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (*self.patch_size, 3):
            raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 [n, {self.patch_size}, 3]")
        if not len(images):
            return
        with spent("write", size=images.nbytes, patches=len(images)):
            self._images.write(images)
        table = pd.DataFrame({**DEFAULTS, **columns}, index=range(len(images)))
        table["class_name"] = [self.classes[label] for label in table["label"]]
        self._tables.append(table)

    def index(self) -> pd.DataFrame:
        """Return the index so far, with one row per patch in the order of addition."""
        if not self._tables:
            return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
        index = pd.concat(self._tables, ignore_index=True)
        index = index.astype({name: kind for name, kind in COLUMNS.items() if name in index})
        return index[[*COLUMNS, *(name for name in index if name not in COLUMNS)]]

    def finish(
        self,
        made_by: Mapping[str, Any],
        split: Sequence[str] | NDArray[Any] | None = None,
        keep: NDArray[np.bool_] | None = None,
        columns: Mapping[str, NDArray[Any]] | None = None,
    ) -> PatchSetInfo:
        """Write the index and the description; the directory gets its final name when the `with` block ends.

        Args:
            made_by: provenance of the set as JSON values: step, config, source digests.
            split: the split of each patch, if it was unknown when the patch was added.
            keep: a mask of the patches to keep; the pixels of the others are dropped.
            columns: further columns of the index that are known only once all patches are added (ranks, selections).
        """
        self._images.close()
        index = self.index()
        if split is not None:
            index["split"] = np.asarray(split, dtype=object)
        index = index.assign(**(columns or {}))
        if keep is not None and not keep.all():
            self._compact(np.flatnonzero(keep))
            index = index[keep].reset_index(drop=True)
        index.to_parquet(self.directory / INDEX_NAME, index=False)
        tables = [p for p in self.directory.rglob("*") if p.is_file() and p.parent != self.directory / FOLDER]
        digests = {p.relative_to(self.directory).as_posix(): digest_file(p) for p in tables}
        info = PatchSetInfo(
            schema_version=SCHEMA_VERSION,
            classes=self.classes,
            patch_size=self.patch_size,
            mpp=self.mpp,
            counts=count_splits(index, self.classes),
            synthetic=self.synthetic,
            made_by={"code_version": __version__, **made_by},
            files=dict(sorted({**self._images.files, **digests}.items())),
            images_location="" if self._store is None else _absolute(self._store),
            digest="",
        )
        info = info.model_copy(update={"digest": info.compute_digest()})
        write_json(self.directory / INFO_NAME, info.model_dump(mode="json"))
        self.info = info
        return info

    def _compact(self, rows: NDArray[np.int64]) -> None:
        """Write the chunks again with the patches at `rows` alone."""
        reader = self._images.reader()
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            self._images = ChunkWriter(Path(folder), self.patch_size, self._store)
            for start in range(0, len(rows), BATCH):
                self._images.write(reader.read(rows[start : start + BATCH]))
            self._images.close()
            if self._store is None:
                shutil.rmtree(self.directory / FOLDER)
            if (Path(folder) / FOLDER).exists():
                shutil.move(Path(folder) / FOLDER, self.directory / FOLDER)


def _absolute(location: Location) -> str:
    return str(location.root.resolve() if isinstance(location, LocalLocation) else location)
