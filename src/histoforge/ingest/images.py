"""Folders of images by class, with an optional labels.csv."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histoforge.core.errors import SourceError
from histoforge.core.progress import Progress
from histoforge.core.timings import spent
from histoforge.ingest import tables
from histoforge.ingest.codecs import read_codec
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.cutting import CutImage, CutSettings, Tiles, cut_image
from histoforge.ingest.pixels import read_rgb
from histoforge.ingest.source import UNKNOWN_PATIENTS, ReadLog, examples, in_order, select_classes, worker_count
from histoforge.ingest.stains import fit_to_images, normaliser_of, sample_positions
from histoforge.patches.images import Pixels
from histoforge.slides.stain import Transform
from histoforge.storage import Entry, Location

EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
COLUMNS = ("path", "label", "patient", "slide", "split")
JOBS_PER_WORKER = 8


@dataclass(frozen=True)
class ImageItem:
    """One image file with its known properties; `name` is its path below the source."""

    name: str
    label: str
    patient: str
    slide: str
    split: str


class ImageSource:
    """Images in `<class>/<image>`, `<class>/<patient>/<image>` or `<train|val|test>/<class>/…`, or in a labels.csv.

    Images larger than a patch are cut on a centred grid, leaving out tiles with too little tissue. An image of
    exactly one patch is taken as it is.
    """

    kind = "images"
    thinned: frozenset[str] | None = None

    def __init__(self, config: IngestConfig, location: Location, entries: list[Entry], log: ReadLog) -> None:
        self._config, self._location, self._log = config, location, log
        names = {entry.name for entry in entries if entry.name.lower().endswith(EXTENSIONS)}
        table = tables.load_table(config.labels, "labels.csv", location, entries, log.temporary, COLUMNS)
        items = self._by_table(table, names) if table else self._by_folder(sorted(names))
        self.classes = select_classes({item.label for item in items}, config.class_list, config.ignored, config.source)
        self.items = [item for item in items if item.label in self.classes]
        log.drop("images of other classes", len(items) - len(self.items))
        self.has_split = bool(self.items[0].split)
        self._settings = CutSettings(
            size=config.size,
            stride=config.stride,
            min_tissue=config.min_tissue,
            overview_px=config.overview_px,
            scale=config.slide_mpp / config.mpp if config.slide_mpp else 1.0,
            small_images=config.small_images,
            normaliser=normaliser_of(config.stain),
            overview_footprint=config.overview_footprint,
            overview_overlap=config.overview_overlap,
        )
        self.patients_known = any(item.patient != _stem(item.name) for item in self.items)
        if not self.patients_known:
            log.warnings.append(UNKNOWN_PATIENTS.format(unit="image"))

    def outline(self) -> list[tuple[str, str, str, str]]:
        return [(item.patient, item.slide, item.label, item.split) for item in self.items]

    def read(self, collector: PatchCollector) -> None:
        workers = worker_count(self._config.workers)
        with (
            ThreadPoolExecutor(workers) as pool,
            Progress("preprocess", len(self.items), "images") as progress,
        ):
            fits = self._fits(pool)
            jobs: Iterator[Future[tuple[ImageItem, CutImage | SourceError]]] = (
                pool.submit(self._cut, item, fits.get(item.slide)) for item in self.items
            )
            for item, result in in_order(jobs, workers * JOBS_PER_WORKER):
                if isinstance(result, CutImage):
                    self._add(item, result, collector)
                else:
                    self._log.fail(item.name, result)
                progress.advance(patches=collector.count)

    def _fits(self, pool: ThreadPoolExecutor) -> dict[str, Transform]:
        """Return the stain normalisation of each slide that has several images, fitted to a sample of them."""
        normaliser = self._settings.normaliser
        if normaliser is None:
            return {}
        slides: dict[str, list[ImageItem]] = {}
        for item in self.items:
            slides.setdefault(item.slide, []).append(item)

        def fit(items: list[ImageItem]) -> Transform | None:
            sample = [self._image(items[position]) for position in sample_positions(len(items))]
            images = [image for image in sample if not isinstance(image, SourceError)]
            return fit_to_images(normaliser, images) if images else None

        several = {slide: items for slide, items in slides.items() if len(items) > 1}
        fits = zip(several, pool.map(fit, several.values()), strict=True)
        return {slide: transform for slide, transform in fits if transform is not None}

    def _image(self, item: ImageItem) -> Pixels | SourceError:
        with self._location.fetched(item.name, self._log.temporary) as path:
            try:
                with spent("decode", size=path.stat().st_size):
                    image = read_rgb(path, item.name)
            except SourceError as error:
                return error
            self._log.codecs[item.name] = read_codec(path)
            return image

    def _cut(self, item: ImageItem, transform: Transform | None) -> tuple[ImageItem, CutImage | SourceError]:
        image = self._image(item)
        if isinstance(image, SourceError):
            return item, image
        with spent("decode") as work:
            cut = cut_image(image, item.name, self._settings, transform)
            work.patches = len(cut.patches.pixels)
        return item, cut

    def _add(self, item: ImageItem, cut: CutImage, collector: PatchCollector) -> None:
        patches, overviews = cut.patches, cut.overviews
        self._log.drop("tiles with too little tissue", patches.empty)
        if not len(patches.pixels):
            self._log.drop("images smaller than a patch" if not patches.empty else "images without tissue")
            return
        self._log.files += 1
        draws = collector.draw(item.name, len(patches.pixels))
        columns = {
            "label": self.classes.index(item.label),
            "patient": item.patient,
            "slide": item.slide,
            "split": item.split,
            "file": item.name,
            "mpp": self._config.mpp if self._config.slide_mpp else float("nan"),
        }
        rows = collector.cap.admit(draws, np.full(len(draws), columns["label"]))
        keys = np.full(int(rows.sum()), cut.key, np.uint64)
        collector.add(patches.pixels[rows], keys, draws[rows], {**columns, "x": patches.x[rows], "y": patches.y[rows]})
        if len(overviews.pixels):
            self._add_overviews(item, overviews, collector, columns)

    def _add_overviews(
        self, item: ImageItem, overviews: Tiles, collector: PatchCollector, columns: dict[str, Any]
    ) -> None:
        draws = collector.draw_overviews(item.name, len(overviews.pixels))
        rows = collector.overview_cap.admit(draws, np.full(len(draws), columns["label"]))
        mpp = columns["mpp"] * self._config.overview_shrink or float("nan")
        corners = {"x": overviews.x[rows], "y": overviews.y[rows]}
        collector.add_overviews(overviews.pixels[rows], draws[rows], {**columns, **corners, "mpp": mpp})

    def _by_table(self, table: tables.Table, names: set[str]) -> list[ImageItem]:
        tables.check_files_exist(table, [row["path"] for row in table.rows], names, self._location)
        unlisted = sorted(names - {row["path"] for row in table.rows})
        if unlisted:
            self._log.warnings.append(
                f"{table.name} does not list {len(unlisted)} images of the source; they are left out: "
                f"{examples(unlisted)}"
            )
        matcher = tables.patient_matcher(self._config.patient_pattern)
        return [
            ImageItem(
                name=row["path"],
                label=tables.cell_value(
                    row, table, "label", "path", default=row["path"].rpartition("/")[0].split("/")[0]
                ),
                patient=tables.match_patient(matcher, row["path"])
                if matcher
                else tables.cell_value(row, table, "patient", "path", default=_stem(row["path"])),
                slide=row.get("slide") or _stem(row["path"]),
                split=tables.split_of_row(row, table, "path"),
            )
            for row in table.rows
        ]

    def _by_folder(self, names: list[str]) -> list[ImageItem]:
        matcher = tables.patient_matcher(self._config.patient_pattern)
        tops = {name.split("/")[0].lower() for name in names if "/" in name}
        has_splits = bool(tops) and tops <= set(tables.SPLIT_NAMES) and any(name.count("/") > 1 for name in names)
        items = []
        for name in names:
            folders = name.split("/")
            split = tables.SPLIT_NAMES[folders.pop(0).lower()] if has_splits and len(folders) > 2 else ""
            if len(folders) < 2 or (has_splits and not split):
                self._log.drop("images outside a class folder")
                continue
            patient = folders[1] if len(folders) > 2 else _stem(name)
            items.append(
                ImageItem(
                    name, folders[0], tables.match_patient(matcher, name) if matcher else patient, _stem(name), split
                )
            )
        if not items:
            raise SourceError(
                f"There are no images in class folders in {self._location}: put them into one folder per class, or "
                f"write a labels.csv (path,label,patient,slide)."
            )
        return items


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("").as_posix())
