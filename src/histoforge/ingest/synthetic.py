"""Synthetic images that somebody else made: folders by class, a table with labels, or a patch set."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.core.settings import nearest
from histoforge.core.text import counted
from histoforge.ingest import tables
from histoforge.ingest.codecs import read_codec
from histoforge.ingest.fitting import Fitting
from histoforge.ingest.images import EXTENSIONS
from histoforge.ingest.origin import ORIGIN, Origin, read_origin
from histoforge.ingest.pixels import read_rgb
from histoforge.ingest.source import examples, in_order, worker_count
from histoforge.patches.description import INFO_NAME, PatchSetInfo, read_info
from histoforge.patches.images import Pixels
from histoforge.patches.patchset import PatchSet
from histoforge.storage import Entry, Location
from histoforge.storage.local import LocalLocation

TABLE = "labels.csv"
COLUMNS = ("path", "label")
STORED = "patch set"
IMAGES_PER_JOB = 256
BYTES_PER_JOB = 1 << 24
"""Size of the patches of one job, of which `JOBS_PER_WORKER` wait for each thread."""
JOBS_PER_WORKER = 4


@dataclass(frozen=True)
class Batch:
    """Some images as patches: uint8 [n, h, w, 3], and columns of the index, each [n]."""

    pixels: Pixels
    columns: dict[str, Any]


class SyntheticSource(Protocol):
    """Synthetic images whose classes are known before a pixel is read.

    Attributes:
        kind: 'folders', 'table' or 'patch set'.
        labels: the class of each image, in the source's own words.
        origin: what the source states about itself.
    """

    kind: str
    labels: list[str]
    origin: Origin

    def read(self, rows: NDArray[np.int64], fitting: Fitting, workers: int) -> Iterator[Batch]:
        """Yield the patches of some images, in their order."""
        ...


def open_synthetic(location: Location, labels: str, temporary: Path) -> SyntheticSource:
    """Open synthetic images.

    Args:
        location: a patch set, or a folder or prefix of images.
        labels: path of a table with the columns path and label; '' for labels.csv at the location, if there is one.
        temporary: a folder for fetched files.

    Raises:
        SourceError: there are no images, or the table or origin.yaml cannot be used.
        PatchSetError: the patch set is damaged.
    """
    entries = location.source_entries()
    if any(entry.name == INFO_NAME for entry in entries):
        return StoredPatches(location, temporary)
    return ImageFiles(location, entries, labels, temporary)


def outline_synthetic(location: Location, labels: str, temporary: Path) -> tuple[Origin, list[str]]:
    """Return what synthetic images state about themselves and the names of their classes, without reading a pixel.

    Args:
        location, labels, temporary: as for `open_synthetic`, which raises the same errors.
    """
    entries = location.source_entries()
    if any(entry.name == INFO_NAME for entry in entries):
        with location.fetched(INFO_NAME, temporary) as path:
            info = read_info(path.parent)
        present = {name for counts in info.counts.values() for name, count in counts.items() if count}
        return _origin_of(info, location), sorted(present)
    images = ImageFiles(location, entries, labels, temporary)
    return images.origin, sorted(set(images.labels))


class ImageFiles:
    """Image files in `<class>/…`, or as a table lists them."""

    def __init__(self, location: Location, entries: list[Entry], labels: str, temporary: Path) -> None:
        self._location, self._temporary = location, temporary
        names = [entry.name for entry in entries if entry.name.lower().endswith(EXTENSIONS)]
        table = tables.load_table(labels, TABLE, location, entries, temporary, COLUMNS, other_columns=True)
        self.kind = "table" if table else "folders"
        listed = _by_table(table, names, location) if table else _by_folder(names, location)
        self._names, self.labels = list(listed), list(listed.values())
        self.origin = read_origin(location, entries, temporary)

    def read(self, rows: NDArray[np.int64], fitting: Fitting, workers: int) -> Iterator[Batch]:
        """Yield the patches, decoded by threads; the decoders of PNG and JPEG release the interpreter's lock."""
        threads, count = worker_count(workers), _images_per_job(fitting)
        with ThreadPoolExecutor(threads) as pool:
            jobs = (
                pool.submit(self._read, [self._names[row] for row in rows[start : start + count]], fitting)
                for start in range(0, len(rows), count)
            )
            yield from in_order(jobs, threads * JOBS_PER_WORKER)

    def _read(self, names: Sequence[str], fitting: Fitting) -> Batch:
        pixels = np.empty((len(names), *fitting.size, 3), np.uint8)
        codecs = []
        for number, name in enumerate(names):
            with self._location.fetched(name, self._temporary) as path:
                codecs.append(read_codec(path))
                pixels[number] = fitting.patch(read_rgb(path, f"{self._location}/{name}"), name)
        quality = [codec.quality for codec in codecs]
        return Batch(pixels, {"file": list(names), "codec": [codec.name for codec in codecs], "quality": quality})


class StoredPatches:
    """A patch set, of this program or of an earlier import."""

    kind = STORED

    def __init__(self, location: Location, temporary: Path) -> None:
        if isinstance(location, LocalLocation):
            folder = location.root
        else:
            folder = temporary / "patches"
            location.get_tree(folder)
        self._patches = PatchSet.open(folder)
        self.origin = _origin_of(self._patches.info, location)
        self.labels = self._patches.index["class_name"].astype(str).tolist()

    def read(self, rows: NDArray[np.int64], fitting: Fitting, workers: int) -> Iterator[Batch]:
        """Yield the patches, with the columns of an earlier import and of a generator."""
        index = self._patches.index
        kept = [name for name in ("file", "codec", "quality", "seed") if name in index]
        count = _images_per_job(fitting)
        for start in range(0, len(rows), count):
            chosen = rows[start : start + count]
            images = self._patches.images(chosen)
            pixels = np.stack(
                [fitting.patch(image, f"number {row}") for image, row in zip(images, chosen, strict=True)]
            )
            columns = {name: index[name].to_numpy()[chosen] for name in kept}
            yield Batch(pixels, {"file": "", "codec": "none", "quality": float("nan"), **columns})


def class_labels(
    source: Sequence[str], classes: Sequence[str], mapping: Mapping[str, str], ignored: set[str], name: str
) -> NDArray[np.int64]:
    """Return the label of each image; -1 for those to leave out, int64 [N].

    Classes of one name, in any case, are the same; `mapping` names the real class of the others.

    Args:
        source: the class of each image, in the source's words.
        classes: the real classes.
        mapping: real class of the source's classes whose names differ.
        ignored: classes of the source to leave out.
        name: the source's name in messages.

    Raises:
        SourceError: a class is neither a real one nor mapped, or a real class has no image.
    """
    by_name = {real.casefold(): label for label, real in enumerate(classes)}
    given = {theirs.casefold(): ours for theirs, ours in mapping.items()}
    left_out = {theirs.casefold() for theirs in ignored}
    label_of = {
        theirs: -1 if theirs.casefold() in left_out else _label(theirs, by_name, given, classes, name)
        for theirs in dict.fromkeys(source)
    }
    for label, real in enumerate(classes):
        if label not in label_of.values():
            raise SourceError(
                f"{name} has no image of the class '{real}': add some, or map one of its classes to it with class_map "
                f"(it has {', '.join(sorted(label_of))})."
            )
    return np.array([label_of[theirs] for theirs in source], np.int64)


def _label(
    theirs: str, by_name: Mapping[str, int], mapping: Mapping[str, str], classes: Sequence[str], name: str
) -> int:
    ours = mapping.get(theirs.casefold(), theirs)
    if ours.casefold() not in by_name:
        raise SourceError(
            f"{name} has the class '{ours}', and the real patches have {', '.join(classes)}{nearest(ours, classes)}: "
            f"map it to one of them with class_map='{theirs}=NAME' (or 'classes' in {ORIGIN}), or leave it out with "
            "ignore_classes."
        )
    return by_name[ours.casefold()]


def _origin_of(info: PatchSetInfo, location: Location) -> Origin:
    """Return what a patch set states: its resolution, and the origin that an earlier import recorded.

    Raises:
        SourceError: its patches are real.
    """
    if not info.synthetic:
        raise SourceError(
            f"The patches of {location} are real, and some may belong to the test split: give a synthetic patch set."
        )
    return Origin.make({**(info.made_by.get("origin") or {}), "mpp": info.mpp or 0.0})


def _images_per_job(fitting: Fitting) -> int:
    return max(1, min(IMAGES_PER_JOB, BYTES_PER_JOB // int(np.prod((*fitting.size, 3)))))


def _by_table(table: tables.Table, names: Sequence[str], location: Location) -> dict[str, str]:
    tables.check_files_exist(table, [row["path"] for row in table.rows], set(names), location)
    return {row["path"]: tables.cell_value(row, table, "label", "path") for row in table.rows}


def _by_folder(names: Sequence[str], location: Location) -> dict[str, str]:
    outside = [name for name in names if "/" not in name]
    if outside or not names:
        problem = (
            f"has {counted(len(outside), 'images')} outside a class folder ({examples(outside)})"
            if outside
            else "has no images"
        )
        raise SourceError(
            f"{location} {problem}: put them into one folder per class, or write a {TABLE} with the columns path and "
            "label."
        )
    return {name: name.split("/")[0] for name in names}
