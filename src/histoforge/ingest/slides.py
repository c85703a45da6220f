"""Whole-slide images with annotations, a slides.csv or both."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SlideError, SourceError
from histoforge.core.progress import Progress
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.fetching import fetched_slide
from histoforge.ingest.pixels import letterboxed
from histoforge.ingest.regions import slide_regions
from histoforge.ingest.slide_list import SlideItem, list_slides
from histoforge.ingest.source import ReadLog, in_order, worker_count
from histoforge.ingest.stains import normaliser_of
from histoforge.patches.duplicates import location_keys, pixel_key
from histoforge.patches.images import Pixels
from histoforge.slides import (
    Annotations,
    PlanSettings,
    Scale,
    Slide,
    Tissue,
    find_tissue,
    patch_scale,
    plan_patches,
    read_overview,
    read_patches,
)
from histoforge.slides.pictures import write_picture
from histoforge.slides.stain import Transform, fit_to_slide
from histoforge.storage import Entry, Location
from histoforge.storage.local import LocalLocation


@dataclass
class OpenedSlide:
    """A slide that is ready for tiling, with its plan, its scale and its stain normalisation."""

    slide: Slide
    scale: Scale
    tissue: Tissue
    annotations: Annotations
    plan: pd.DataFrame
    transform: Transform | None = None


class SlideSource:
    """Slides of one location. A slide in a folder is read in place; an S3 object is fetched, read and removed."""

    kind = "slides"
    thinned: frozenset[str] | None = None

    def __init__(self, config: IngestConfig, location: Location, entries: list[Entry], log: ReadLog) -> None:
        self._config, self._location, self._log = config, location, log
        listed = list_slides(config, location, entries, log)
        self.items, self.classes = listed.items, listed.classes
        self.patients_known, self.has_split = listed.patients_known, listed.has_split
        self._normaliser = normaliser_of(config.stain)
        self._settings = PlanSettings(
            stride=config.stride or None,
            min_tissue=config.min_tissue,
            membership=config.membership,
            min_region=config.min_region,
        )
        if config.overview_shrink:
            overlap = config.overview_overlap / config.overview_shrink
            self._overview_settings = replace(self._settings, stride=None, overlap=overlap)

    def outline(self) -> list[tuple[str, str, str, str]]:
        return [(item.patient, item.name, label, item.split) for item in self.items for label in item.classes]

    def read(self, collector: PatchCollector) -> None:
        workers = worker_count(self._config.workers)
        local = isinstance(self._location, LocalLocation)
        if local:
            self._check_all(workers)
        ahead = 1 if local else 0
        with ThreadPoolExecutor(1) as pool, Progress("preprocess", len(self.items), "slides") as progress:
            jobs: Iterator[Future[tuple[ExitStack, OpenedSlide | SlideError]]] = (
                pool.submit(self._open, item) for item in self.items
            )
            for item, (stack, opened) in zip(self.items, in_order(jobs, ahead), strict=True):
                with stack:
                    if isinstance(opened, SlideError):
                        self._log.fail(item.file, opened)
                    else:
                        self._cut(item, opened, collector, workers, progress)
                progress.advance(slide=item.name, patches=collector.count)

    def _check_all(self, workers: int) -> None:
        """Detect errors that the user has to correct before hours are spent on other slides.

        This is for local slides only, because remote ones would have to be fetched.

        Raises:
            SourceError: a slide's mpp or annotation is missing or wrong.
        """

        def check(item: SlideItem) -> None:
            with ExitStack() as stack:
                try:
                    slide = self._enter(item, stack)
                except SlideError:
                    return
                self._regions(item, slide)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(check, self.items))

    def _enter(self, item: SlideItem, stack: ExitStack) -> Slide:
        """Fetch and open a slide; the stack closes it and removes fetched files.

        Raises:
            SlideError: it does not open.
        """
        return stack.enter_context(fetched_slide(item, self._location, self._log.temporary, self._config.slide_mpp))

    def _open(self, item: SlideItem) -> tuple[ExitStack, OpenedSlide | SlideError]:
        """Open a slide and plan its patches."""
        with ExitStack() as stack:
            try:
                slide = self._enter(item, stack)
                opened: OpenedSlide | SlideError = self._planned(item, slide, self._regions(item, slide))
            except SlideError as error:
                opened = error
            return stack.pop_all(), opened

    def _regions(self, item: SlideItem, slide: Slide) -> Annotations:
        """Return the regions of a slide.

        Raises:
            SourceError: its mpp or its annotation is missing or wrong, which the user has to correct.
        """
        try:
            if self._config.level < 0:
                slide.required_mpp()
            return slide_regions(item, slide, self.classes, self._config.ignored, self._config.outside_class)
        except SlideError as error:
            raise SourceError(self._log.named(error)) from error

    def _planned(self, item: SlideItem, slide: Slide, annotations: Annotations) -> OpenedSlide:
        by_level = self._config.level >= 0
        scale = patch_scale(
            slide,
            self._config.size,
            mpp=None if by_level else self._config.mpp,
            level=self._config.level if by_level else None,
        )
        tissue = find_tissue(slide)
        plan = self._plan(item, slide, scale, tissue, annotations, self._settings)
        return OpenedSlide(slide, scale, tissue, annotations, plan)

    def _plan(
        self, item: SlideItem, slide: Slide, scale: Scale, tissue: Tissue, annotations: Annotations,
        settings: PlanSettings,
    ) -> pd.DataFrame:  # fmt: skip
        label = self.classes.index(item.label) if item.label in self.classes else None
        plan = plan_patches(slide, scale, tissue, settings, annotations.regions, label)
        return plan[plan["label"] < len(self.classes)].reset_index(drop=True)

    def _cut(
        self, item: SlideItem, opened: OpenedSlide, collector: PatchCollector, workers: int, progress: Progress
    ) -> None:
        self._log.warnings.extend(opened.annotations.warnings)
        plan = opened.plan
        draws = collector.draw(item.file, len(plan))
        admitted = collector.cap.admit(draws, plan["label"].to_numpy())
        plan, draws = plan[admitted].reset_index(drop=True), draws[admitted]
        if not len(plan):
            self._log.warnings.append(
                f"The slide {item.file} yields no patches: nothing in it (or in its regions) reaches min_tissue"
            )
            return
        start = collector.count
        try:
            opened.transform = self._transform(opened)
            overview = self._add_patches(item, opened, plan, draws, collector, workers, progress)
            if self._config.overview_shrink:
                self._add_overviews(item, opened, collector, workers)
        except SlideError as error:
            collector.discard_from(start)
            self._log.fail(item.file, error)
            return
        self._log.files += 1
        if not self._config.overview_shrink:
            columns = {**self._columns(item, opened.scale), "label": int(plan["label"].mode()[0]), "level": 0}
            collector.add_overviews(overview[None], np.zeros(1), {**columns, "mpp": float("nan")})
        self._picture(item, opened, plan, collector)

    def _add_patches(
        self, item: SlideItem, opened: OpenedSlide, plan: pd.DataFrame, draws: NDArray[np.float64],
        collector: PatchCollector, workers: int, progress: Progress,
    ) -> Pixels:  # fmt: skip
        """Read the planned patches, and return the slide's overview.

        Raises:
            SlideError: the slide is damaged.
        """
        overview = self._overview(opened)
        key = pixel_key(overview)
        if opened.transform is not None:
            overview = opened.transform(overview)
        for rows, images in read_patches(opened.slide, plan, opened.scale, workers, opened.transform):
            planned = plan.iloc[rows]
            keys = location_keys(key, planned["x"].to_numpy(), planned["y"].to_numpy())
            columns = {name: planned[name] for name in ("label", "x", "y", "tissue")}
            collector.add(images, keys, draws[rows], {**columns, **self._columns(item, opened.scale)})
            progress.advance(0, slide=item.name, patches=collector.count)
        return overview

    def _transform(self, opened: OpenedSlide) -> Transform | None:
        """Return the stain normalisation of a slide, or None.

        It is fitted to the whole plan, so that colours do not depend on how many patches of other slides were admitted.
        """
        if self._normaliser is None:
            return None
        return fit_to_slide(self._normaliser, opened.slide, opened.plan, opened.scale)

    def _add_overviews(self, item: SlideItem, opened: OpenedSlide, collector: PatchCollector, workers: int) -> None:
        """Cut the slide into overviews in the same way as into patches, at a coarser resolution.

        Raises:
            SlideError: the slide is damaged.
        """
        scale = self._overview_scale(opened)
        plan = self._plan(item, opened.slide, scale, opened.tissue, opened.annotations, self._overview_settings)
        draws = collector.draw_overviews(item.file, len(plan))
        admitted = collector.overview_cap.admit(draws, plan["label"].to_numpy())
        plan, draws = plan[admitted].reset_index(drop=True), draws[admitted]
        for rows, images in read_patches(opened.slide, plan, scale, workers, opened.transform):
            columns = {name: plan.iloc[rows][name] for name in ("label", "x", "y", "tissue")}
            collector.add_overviews(images, draws[rows], {**columns, **self._columns(item, scale)})

    def _overview_scale(self, opened: OpenedSlide) -> Scale:
        """Return the scale of overviews: `overview_shrink` times coarser than the patches."""
        size, shrink = self._config.overview_px, self._config.overview_shrink
        if self._config.level < 0:
            return patch_scale(opened.slide, size, mpp=self._config.mpp * shrink)
        patches = opened.scale
        mpp = None if patches.mpp is None else patches.mpp * shrink
        return Scale(size, patches.level, patches.downsample, self._config.overview_footprint, mpp)

    def _columns(self, item: SlideItem, scale: Scale) -> dict[str, Any]:
        """Return the index columns that all patches of a slide share."""
        return {
            "patient": item.patient,
            "slide": item.name,
            "split": item.split,
            "file": item.file,
            "level": scale.level,
            "mpp": scale.mpp or float("nan"),
        }

    def _overview(self, opened: OpenedSlide) -> Pixels:
        """Shrink the slide to an overview, using the picture on which tissue was found if that is large enough."""
        size, picture = self._config.overview_px, opened.tissue.image
        if picture.shape[0] >= size[0] or picture.shape[1] >= size[1]:
            return letterboxed(picture, size)
        return read_overview(opened.slide, size)

    def _picture(self, item: SlideItem, opened: OpenedSlide, plan: pd.DataFrame, collector: PatchCollector) -> None:
        """Draw the slide for the report."""
        name = f"{item.name}.jpg"
        drawn = [region for region in opened.annotations.regions if region.label < len(self.classes)]
        width, height = write_picture(collector.picture_folder / name, opened.tissue, plan, opened.scale, drawn)
        collector.add_picture(
            {
                "slide": item.name,
                "patient": item.patient,
                "file": item.file,
                "picture": name,
                "width": width,
                "height": height,
                "patches": {name: int((plan["label"] == label).sum()) for label, name in enumerate(self.classes)},
                "tissue": round(opened.tissue.share, 4),
                "mpp": opened.scale.mpp,
            }
        )
