"""Folders of images by class, with an optional labels.csv."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.core.progress import Progress
from histoforge.ingest import tables
from histoforge.ingest.base import UNKNOWN_PATIENTS, Reading, chosen_classes, ordered, worker_count
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.pixels import grid, letterboxed, read_rgb, resize, tissue_share
from histoforge.ingest.stains import chosen_normaliser, fit_to_images, spread
from histoforge.patches.duplicates import pixel_key
from histoforge.patches.images import Pixels
from histoforge.slides.stain import Transform
from histoforge.storage import Entry, Location

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
COLUMNS = ("path", "label", "patient", "slide", "split")
JOBS_A_WORKER = 8


@dataclass(frozen=True)
class Item:
    """One image file with its known properties; `name` is its path below the source."""

    name: str
    label: str
    patient: str
    slide: str
    split: str


@dataclass(frozen=True)
class Cut:
    """The result of cutting one image: its patches, uint8 [n, h, w, 3], with their corners in px of the image."""

    item: Item
    patches: Pixels
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    key: int
    overview: Pixels | None
    empty: int


class ImageSource:
    """Images in `<class>/<image>`, `<class>/<patient>/<image>` or `<train|val|test>/<class>/…`, or in a labels.csv.

    Images larger than a patch are cut on a centred grid, leaving out tiles with too little tissue. An image of
    exactly one patch is taken as it is.
    """

    kind = "images"

    def __init__(self, config: IngestConfig, location: Location, entries: list[Entry], reading: Reading) -> None:
        self._config, self._location, self._reading = config, location, reading
        there = {entry.name for entry in entries if entry.name.lower().endswith(EXTENSIONS)}
        table = tables.load_table(config.labels, "labels.csv", location, entries, reading.temporary, COLUMNS)
        items = self._by_table(table, there) if table else self._by_folder(sorted(there))
        self.classes = chosen_classes({item.label for item in items}, config)
        self.items = [item for item in items if item.label in self.classes]
        reading.drop("images of other classes", len(items) - len(self.items))
        self.own_split = bool(self.items[0].split)
        self._normaliser = chosen_normaliser(config)
        self.patients_known = any(item.patient != _stem(item.name) for item in self.items)
        if not self.patients_known:
            reading.warnings.append(UNKNOWN_PATIENTS.format(unit="image"))

    def outline(self) -> list[tuple[str, str, str, str]]:
        return [(item.patient, item.slide, item.label, item.split) for item in self.items]

    def read(self, sink: PatchCollector) -> None:
        workers = worker_count(self._config)
        with (
            ThreadPoolExecutor(workers) as pool,
            Progress("preprocess", len(self.items), "images") as progress,
        ):
            fits = self._fits(pool)
            jobs: Iterator[Future[Cut | tuple[Item, SourceError]]] = (
                pool.submit(self._cut, item, fits.get(item.slide)) for item in self.items
            )
            for result in ordered(jobs, workers * JOBS_A_WORKER):
                if isinstance(result, Cut):
                    self._put(result, sink)
                else:
                    self._reading.fail(result[0].name, result[1])
                progress.advance(patches=sink.count)

    def _fits(self, pool: ThreadPoolExecutor) -> dict[str, Transform]:
        """Return the stain normalisation of each slide that has several images, fitted to a sample of them."""
        normaliser = self._normaliser
        if normaliser is None:
            return {}
        slides: dict[str, list[Item]] = {}
        for item in self.items:
            slides.setdefault(item.slide, []).append(item)

        def fit(items: list[Item]) -> Transform | None:
            sample = [self._image(items[place]) for place in spread(len(items))]
            images = [image for image in sample if not isinstance(image, SourceError)]
            return fit_to_images(normaliser, images) if images else None

        several = {slide: items for slide, items in slides.items() if len(items) > 1}
        fits = zip(several, pool.map(fit, several.values()), strict=True)
        return {slide: transform for slide, transform in fits if transform is not None}

    def _image(self, item: Item) -> Pixels | SourceError:
        with self._location.fetched(item.name, self._reading.temporary) as path:
            try:
                return read_rgb(path, item.name)
            except SourceError as error:
                return error

    def _cut(self, item: Item, transform: Transform | None) -> Cut | tuple[Item, SourceError]:
        image = self._image(item)
        if isinstance(image, SourceError):
            return item, image
        key = pixel_key(image)
        factor = self._config.slide_mpp / self._config.mpp if self._config.slide_mpp else 1.0
        if abs(factor - 1) > 0.02:
            image = resize(image, (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))))
        enlarged = self._enlargement(image, item)
        if not enlarged:
            return Cut(item, np.empty((0, *self._config.size, 3), np.uint8), *_no_places(), key, None, 0)
        if enlarged > 1:
            image = resize(image, self._enlarged_size(image, enlarged))
        patches, x, y, empty = self._tiles(image)
        larger = len(x) + empty > 1
        overview = letterboxed(image, self._config.overview_px) if larger else None
        if self._normaliser is not None:
            transform = transform or fit_to_images(self._normaliser, [image])
            patches = transform(patches)
            overview = transform(overview) if overview is not None else None
        back = factor * enlarged
        return Cut(item, patches, _back(x, back), _back(y, back), key, overview, empty)

    def _enlargement(self, image: Pixels, item: Item) -> float:
        """Return the factor by which to enlarge an image smaller than a patch; 0 if the user wants it left out."""
        (height, width), (h, w) = image.shape[:2], self._config.size
        if height >= h and width >= w:
            return 1.0
        if self._config.small_images == "error":
            raise SourceError(
                f"The image {item.name} has {width} x {height} px, less than a patch of {w} x {h}: choose a smaller "
                f"patch_size, or set small_images to 'skip' or 'resize'."
            )
        return max(h / height, w / width) if self._config.small_images == "resize" else 0.0

    def _enlarged_size(self, image: Pixels, factor: float) -> tuple[int, int]:
        height, width = (max(p, round(s * factor)) for p, s in zip(self._config.size, image.shape[:2], strict=True))
        return height, width

    def _tiles(self, image: Pixels) -> tuple[Pixels, NDArray[np.int64], NDArray[np.int64], int]:
        """Return the patches of an image with their corners, and the number of those left out as glass."""
        h, w = self._config.size
        rows = grid(image.shape[0], h, self._config.stride or h)
        columns = grid(image.shape[1], w, self._config.stride or w)
        patches = np.stack([image[top : top + h, left : left + w] for top in rows for left in columns])
        y, x = (places.ravel() for places in np.meshgrid(rows, columns, indexing="ij"))
        if len(patches) == 1:
            return patches, x, y, 0
        kept = tissue_share(patches) >= self._config.min_tissue
        return patches[kept], x[kept], y[kept], int((~kept).sum())

    def _put(self, cut: Cut, sink: PatchCollector) -> None:
        item = cut.item
        self._reading.drop("tiles with too little tissue", cut.empty)
        if not len(cut.patches):
            self._reading.drop("images smaller than a patch" if not cut.empty else "images without tissue")
            return
        self._reading.files += 1
        draws = sink.draw(item.name, len(cut.patches))
        columns = {
            "label": self.classes.index(item.label),
            "patient": item.patient,
            "slide": item.slide,
            "split": item.split,
            "file": item.name,
            "mpp": self._config.mpp if self._config.slide_mpp else float("nan"),
        }
        rows = sink.cap.admit(draws, np.full(len(draws), columns["label"]))
        keys = np.full(int(rows.sum()), cut.key, np.uint64)
        sink.add(cut.patches[rows], keys, draws[rows], {**columns, "x": cut.x[rows], "y": cut.y[rows]})
        if cut.overview is not None:
            sink.add_overview(cut.overview, {**columns, "mpp": float("nan")})

    def _by_table(self, table: tables.Table, there: set[str]) -> list[Item]:
        tables.refuse_missing(table, [row["path"] for row in table.rows], there, self._location)
        unlisted = sorted(there - {row["path"] for row in table.rows})
        if unlisted:
            self._reading.warnings.append(
                f"{table.name} does not list {len(unlisted)} images of the source, which are left out: "
                f"{', '.join(unlisted[:3])}{' …' if len(unlisted) > 3 else ''}"
            )
        matcher = tables.patient_matcher(self._config.patient_pattern)
        return [
            Item(
                name=row["path"],
                label=tables.cell(row, table, "label", "path", default=row["path"].rpartition("/")[0].split("/")[0]),
                patient=tables.match_patient(matcher, row["path"])
                if matcher
                else tables.cell(row, table, "patient", "path", default=_stem(row["path"])),
                slide=row.get("slide") or _stem(row["path"]),
                split=tables.own_split(row, table, "path"),
            )
            for row in table.rows
        ]

    def _by_folder(self, names: list[str]) -> list[Item]:
        matcher = tables.patient_matcher(self._config.patient_pattern)
        tops = {name.split("/")[0].lower() for name in names if "/" in name}
        has_splits = bool(tops) and tops <= set(tables.SPLIT_NAMES) and any(name.count("/") > 1 for name in names)
        items = []
        for name in names:
            parts = name.split("/")
            split = tables.SPLIT_NAMES[parts.pop(0).lower()] if has_splits and len(parts) > 2 else ""
            if len(parts) < 2 or (has_splits and not split):
                self._reading.drop("images outside a class folder")
                continue
            patient = parts[1] if len(parts) > 2 else _stem(name)
            items.append(
                Item(name, parts[0], tables.match_patient(matcher, name) if matcher else patient, _stem(name), split)
            )
        if not items:
            raise SourceError(
                f"There are no images in class folders in {self._location}: put them into a folder for each class, or "
                f"write a labels.csv (path,label,patient,slide)."
            )
        return items


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("").as_posix())


def _no_places() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.empty(0, np.int64), np.empty(0, np.int64)


def _back(places: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    return np.round(places / factor).astype(np.int64)
