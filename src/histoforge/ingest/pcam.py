"""PatchCamelyon's HDF5 files, with the source's own split."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.core.progress import Progress
from histoforge.core.timings import spent
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.source import THINNED, UNKNOWN_PATIENTS, ReadLog, worker_count
from histoforge.ingest.stains import normalise_each, normaliser_of
from histoforge.ingest.tables import SPLIT_NAMES, csv_rows
from histoforge.patches.duplicates import pixel_key
from histoforge.patches.splits import fraction_of_each_class
from histoforge.storage import Entry, Location

FILE = re.compile(r"(?:^|/)camelyonpatch_level_2_split_(train|valid|test)_(x|y|meta)\.(h5|csv)$")
CLASSES = ("normal", "tumour")
MPP = 0.972
BLOCK = 1024
MAX_PATCHES = 100_000_000
DAMAGES = (OSError, LookupError, TypeError, ValueError, RuntimeError, OverflowError)
"""Exceptions that h5py raises for files that are damaged or have another content."""


def is_pcam(name: str) -> bool:
    """Return True if a file has a name of PatchCamelyon."""
    match = FILE.search(name)
    return bool(match and match[3] == "h5")


class PcamSource:
    """PatchCamelyon (Veeling et al. 2018): 96 x 96 px at 0.972 um/px, labelled by tumour in the central 32 x 32 px.

    The official split (262,144 / 32,768 / 32,768) is kept. `train_fraction` draws the same share of each class
    from the training patches before they are read. The papers' "10% (32,768)" is 0.125 of the official training set.
    Slides, and with them patients, are known if the `…_meta.csv` files are beside the others.
    """

    kind = "pcam"
    has_split = True
    thinned: frozenset[str] | None = None

    def __init__(self, config: IngestConfig, location: Location, entries: list[Entry], log: ReadLog) -> None:
        self._config, self._location, self._log = config, location, log
        names = {(m[1], m[2]): e.name for e in entries if (m := FILE.search(e.name))}
        self._names = {key: name for key, name in names.items() if name.endswith("csv") == (key[1] == "meta")}
        self._splits = [split for split in ("train", "valid", "test") if (split, "x") in self._names]
        if not self._splits:
            raise SourceError(
                f"There are no files camelyonpatch_level_2_split_<train|valid|test>_x.h5 in {location}: unpack the .gz "
                "files there."
            )
        for split in self._splits:
            if (split, "y") not in self._names:
                raise SourceError(f"{self._names[split, 'x']} has no labels beside it: add the file …_{split}_y.h5.")
        self.classes = config.class_list or list(CLASSES)
        if len(self.classes) != 2:
            raise SourceError(f"PatchCamelyon has two classes, not {len(self.classes)}: list two names, or none.")
        self.patients_known = all((split, "meta") in self._names for split in self._splits)
        if not self.patients_known:
            log.warnings.append(UNKNOWN_PATIENTS.format(unit="patch"))

    def outline(self) -> list[tuple[str, str, str, str]]:
        return []

    def read(self, collector: PatchCollector) -> None:
        for split in self._splits:
            with ExitStack() as files:
                x = self._open(split, "x", files)
                y = self._labels(split, x, self._open(split, "y", files))
                self._check(split, x, y)
                draws = collector.draw(split, len(y))
                rows = self._kept_rows(split, y, draws, collector)
                with Progress(f"preprocess {split}", len(rows), "patches") as progress:
                    self._read_rows(split, x, y, rows, draws, collector, progress)
        self._log.files = len(self._splits)

    def _kept_rows(
        self, split: str, y: NDArray[np.int64], draws: NDArray[np.float64], collector: PatchCollector
    ) -> NDArray[np.int64]:
        rows = np.arange(len(y))
        if split == "train" and self._config.train_fraction < 1:
            fraction, seed = self._config.train_fraction, self._config.seed
            training = fraction_of_each_class(y, fraction, seed)
            rows = np.flatnonzero(fraction_of_each_class(y, fraction + self._config.control_fraction, seed))
            self.thinned = frozenset(_name(split, row) for row in rows[~training[rows]])
            self._log.drop(THINNED, len(y) - len(rows))
        return rows[collector.cap.admit(draws[rows], y[rows])]

    def _read_rows(
        self,
        split: str,
        x: h5py.Dataset,
        y: NDArray[np.int64],
        rows: NDArray[np.int64],
        draws: NDArray[np.float64],
        collector: PatchCollector,
        progress: Progress,
    ) -> None:
        slides = self._slides(split, len(y))
        normaliser = normaliser_of(self._config.stain)
        with ThreadPoolExecutor(worker_count(self._config.workers)) as pool:
            for start in range(0, len(y), BLOCK):
                block = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + BLOCK)]
                if not len(block):
                    continue
                images = self._block(split, x, start)[block - start]
                keys = np.fromiter(pool.map(pixel_key, images), np.uint64, len(block))
                names = [_name(split, row) for row in block]
                slide = [slides[row] for row in block] if slides else names
                columns: dict[str, Any] = {
                    "label": y[block],
                    "patient": slide,
                    "slide": slide,
                    "mpp": MPP,
                    "split": SPLIT_NAMES[split],
                    "file": names,
                }
                collector.add(normalise_each(normaliser, images), keys, draws[block], columns)
                progress.advance(len(block))

    def _open(self, split: str, dataset_name: str, files: ExitStack) -> h5py.Dataset:
        name = self._names[split, dataset_name]
        path = files.enter_context(self._location.fetched(name, self._log.temporary))
        try:
            file = files.enter_context(h5py.File(path, "r"))
            dataset = file[dataset_name]
            if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or not dataset.shape:
                raise ValueError(f"'{dataset_name}' is not an array")
            return dataset
        except DAMAGES as error:
            raise SourceError(f"{name} is damaged, truncated or not HDF5 ({error}): download it again.") from error

    def _labels(self, split: str, x: h5py.Dataset, y: h5py.Dataset) -> NDArray[np.int64]:
        """Return the labels, one per patch; int64 [N]."""
        name = self._names[split, "y"]
        try:
            if y.size != len(x) or y.size > MAX_PATCHES:
                raise ValueError(f"{y.size} labels for {len(x)} patches")
            return np.asarray(y).reshape(-1).astype(np.int64)
        except DAMAGES as error:
            raise SourceError(
                f"{name} and {self._names[split, 'x']} do not fit together ({error}): download both again."
            ) from error

    def _block(self, split: str, x: h5py.Dataset, start: int) -> NDArray[np.uint8]:
        try:
            with spent("read") as work:
                block = np.asarray(x[start : start + BLOCK])
                work.bytes, work.patches = block.nbytes, len(block)
            return block
        except DAMAGES as error:
            raise SourceError(
                f"{self._names[split, 'x']} is damaged from patch {start} on ({error}): download it again."
            ) from error

    def _check(self, split: str, x: h5py.Dataset, y: NDArray[np.int64]) -> None:
        name = self._names[split, "x"]
        if x.ndim != 4 or x.shape[3] != 3 or x.dtype != np.uint8 or len(x) != len(y) or not np.isin(y, (0, 1)).all():
            raise SourceError(
                f"{name} and its labels do not fit together (images {x.dtype} {x.shape}, {len(y)} labels): "
                f"download both again."
            )
        if x.shape[1:3] != self._config.size:
            raise SourceError(
                f"The patches in {name} have {x.shape[1]} x {x.shape[2]} px: set patch_size={x.shape[1]}, not "
                f"{self._config.patch_size}."
            )

    def _slides(self, split: str, count: int) -> list[str]:
        """Return the slide of each patch from the …_meta.csv files; empty unless all of them exist."""
        if not self.patients_known:
            return []
        name = self._names[split, "meta"]
        with self._location.fetched(name, self._log.temporary) as path:
            header, *rows = csv_rows(Path(path), name) or [[]]
        column = header.index("wsi") if "wsi" in header else 0
        if "wsi" not in header or len(rows) != count or not all(len(row) > column and row[column] for row in rows):
            raise SourceError(f"{name} does not name a slide (column 'wsi') for each of {count} patches: remove it.")
        return [row[column] for row in rows]


def _name(split: str, row: int) -> str:
    return f"{split}-{row:06d}"
