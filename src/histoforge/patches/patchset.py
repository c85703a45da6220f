"""Open and read a patch set."""

import io
import itertools
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from histoforge.core.digests import digest_json
from histoforge.core.errors import PatchSetError
from histoforge.patches.chunks import FOLDER, ChunkReader, chunk_names, rows_per_chunk, stored_name
from histoforge.patches.description import PatchSetInfo, location_of, read_info, read_verified
from histoforge.patches.images import Pixels
from histoforge.storage import Location, open_location
from histoforge.storage.local import LocalLocation

INDEX_NAME = "index.parquet"
VERSION_1_IMAGES = ("images.npy", "images.parquet")
"""The file with all pixels of a set of schema version 1."""
COLUMNS = ("label", "split", "patient", "slide")
SPLITS = ("train", "val", "test", "control")
"""`control` is held back from training: real patches that one arm, the positive control, trains on."""
UNUSED = "unused"
"""Split of a patch that a fold leaves out, such as a training patch beyond `train_fraction`."""
FOLD_PREFIX = "fold_"


def fold_column(fold: int) -> str:
    """Return the column of the index with the splits of a fold."""
    return f"{FOLD_PREFIX}{fold}"


class PatchSet:
    """Labelled patches: `index` has one row per patch, and `images(rows)` reads pixels.

    The methods `split` and `where` return views of the same files.

    Attributes:
        info: content of `patchset.json`, which describes the whole set on disk.
        index: one row per patch: label, class_name, patient, slide, level, x, y (level 0, px), mpp (um/px), split, and
            for synthetic patches method, generator (digest), seed and scores. A set with folds also has fold_0,
            fold_1, …: the split of each patch in each fold.
        fold: the fold whose splits are in the column 'split'; -1 if none was chosen.
    """

    def __init__(
        self, info: PatchSetInfo, index: pd.DataFrame, reader: ChunkReader, rows: NDArray[np.int64], fold: int = -1
    ) -> None:
        self.info = info
        self.index = index
        self.fold = fold
        self._reader = reader
        self._rows = rows

    @classmethod
    def open(cls, path: Path | str, fold: int = -1) -> "PatchSet":
        """Open a patch set, and verify its description and its index.

        The pixels are read, and verified, when they are needed: a damaged file is named before any of its pixels are
        used. `verify` reads all of them.

        Args:
            path: its directory, or as text also a location such as 's3://bucket/patches', of which only the
                description and the index are fetched.
            fold: the fold whose splits to use, counted from 0; -1 for the column 'split'.

        Raises:
            PatchSetError: the set is missing, damaged, or has a newer schema, and the message names the file; or it
                does not have the fold.
            StorageError: the location does not answer.
        """
        location, info = location_of(path), read_info(path)
        try:
            index = pd.read_parquet(io.BytesIO(read_verified(location, info, INDEX_NAME)))
            _check_index(info, index)
            reader = _chunk_reader(location, info, len(index))
            for name in _other_files(info) if isinstance(location, LocalLocation) else ():
                read_verified(location, info, name)
        except (pa.ArrowException, LookupError, OSError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PatchSetError(
                f"The patch set {location} does not match its description ({reason}): make it again."
            ) from None
        return cls(info, index, reader, np.arange(len(index))).in_fold(fold)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def classes(self) -> list[str]:
        """Class names; a label is an index into this list."""
        return self.info.classes

    @property
    def patch_size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.info.patch_size

    @property
    def digest(self) -> str:
        """Identity of the whole set on disk."""
        return self.info.digest

    @property
    def stain(self) -> str:
        """Stain normalisation that `preprocess` gave the patches: 'none', 'macenko', …; '' if it is unknown."""
        return str((self.info.made_by.get("config") or {}).get("stain", ""))

    @property
    def rows_digest(self) -> str:
        """Identity of the patches in this view."""
        return digest_json([self.info.digest, self._rows.tolist()])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Label of each patch, int64 [N]."""
        return self.index["label"].to_numpy(np.int64)

    @property
    def chunks(self) -> NDArray[np.int64]:
        """Chunk of each patch, int64 [N]; a set of schema version 1 is divided in the same way."""
        return self._rows // rows_per_chunk(self.patch_size)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of patches of each class, int64 [classes]."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def images(self, rows: NDArray[np.int64] | slice | None = None) -> Pixels:
        """Return the pixels of `rows` (all if None), uint8 [n, H, W, 3].

        Raises:
            PatchSetError: a file with them is missing or damaged.
        """
        return self._reader.read(self._rows if rows is None else self._rows[rows])

    def verify(self) -> None:
        """Verify all pixels of the set on disk.

        Raises:
            PatchSetError: a file is missing or damaged.
        """
        self._reader.verify()

    def where(self, rows: NDArray[Any]) -> "PatchSet":
        """Return a view of some rows, given by a boolean mask or by indices."""
        index = self.index.iloc[rows].reset_index(drop=True)
        return PatchSet(self.info, index, self._reader, self._rows[rows], self.fold)

    @property
    def folds(self) -> int:
        """Number of folds; 0 for a set with a single split."""
        return next(fold for fold in itertools.count() if fold_column(fold) not in self.index)

    def in_fold(self, fold: int) -> "PatchSet":
        """Return a view in which the column 'split' has the splits of a fold; of the same splits for -1.

        Raises:
            PatchSetError: the set does not have the fold.
        """
        if fold < 0:
            return self
        if fold >= self.folds:
            folds = f"the folds 0 to {self.folds - 1}" if self.folds else "a single split"
            raise PatchSetError(
                f"The patch set has {folds}, and fold {fold} was asked for: choose one that it has, or run 'histoforge "
                "preprocess' again with more folds."
            )
        index = self.index.assign(split=self.index[fold_column(fold)])
        info = self.info.model_copy(update={"counts": count_splits(index, self.classes)})
        return PatchSet(info, index, self._reader, self._rows, fold)

    def of_class(self, label: int) -> "PatchSet":
        """Return a view of one class as a set with only this class, so that its labels are 0."""
        view = self.where(self.labels == label)
        info = self.info.model_copy(update={"classes": [self.classes[label]]})
        return PatchSet(info, view.index.assign(label=0), view._reader, view._rows, view.fold)

    def split(self, name: str) -> "PatchSet":
        """Return a view of one split: 'train', 'val', 'test' or 'control'.

        Raises:
            PatchSetError: the split has no patches.
        """
        view = self.where(np.flatnonzero(self.index["split"].to_numpy() == name))
        if not len(view):
            setting = "control_share above 0" if name == "control" else "a number above 0 for it in split_ratios"
            example = "0.25" if name == "control" else "7:1:2"
            raise PatchSetError(
                f"The patch set has no patches in its '{name}' split: run 'histoforge preprocess' again with "
                f"{setting}, such as {example}."
            )
        return view


def _check_index(info: PatchSetInfo, index: pd.DataFrame) -> None:
    """Check the index against the description.

    Raises:
        ValueError: they do not match.
    """
    if min(info.patch_size) < 1:
        raise ValueError(f"the patch size is {info.patch_size}")
    missing = [name for name in COLUMNS if name not in index.columns]
    if missing:
        raise ValueError(f"{INDEX_NAME} has no column '{missing[0]}'")
    labels = index["label"]
    if not pd.api.types.is_integer_dtype(labels) or not labels.between(0, len(info.classes) - 1).all():
        raise ValueError(f"{INDEX_NAME} has a label outside its {len(info.classes)} classes")
    names = (*SPLITS, UNUSED)
    for column in ("split", *(name for name in map(str, index) if name.startswith(FOLD_PREFIX))):
        if not index[column].isin(names).all():
            raise ValueError(f"{INDEX_NAME} has a {column} other than {', '.join(names)}")


def _chunk_reader(location: Location, info: PatchSetInfo, count: int) -> ChunkReader:
    """Return the reader of the pixels; those of schema version 1 are in a single file.

    Raises:
        LookupError: the description lacks a file.
    """
    shape = (count, *info.patch_size, 3)
    if info.schema_version == 1:
        name = next((name for name in VERSION_1_IMAGES if name in info.files), VERSION_1_IMAGES[0])
        return ChunkReader(location, [(name, info.files[name])] if count else [], max(1, count), shape)
    files = [(name, info.files[name]) for name in chunk_names(count, info.patch_size)]
    if info.images_location:
        location = open_location(info.images_location)
        files = [(stored_name(name, digest), digest) for name, digest in files]
    return ChunkReader(location, files, rows_per_chunk(info.patch_size), shape)


def _other_files(info: PatchSetInfo) -> list[str]:
    """Return the names of the files that have no pixels of patches: the index, and pictures of slides."""
    return [name for name in info.files if name not in VERSION_1_IMAGES and not name.startswith(f"{FOLDER}/")]


def count_splits(index: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the patches of an index by split and class name."""
    return {
        split: {name: int(((index["split"] == split) & (index["class_name"] == name)).sum()) for name in classes}
        for split in SPLITS
        if (index["split"] == split).any()
    }
