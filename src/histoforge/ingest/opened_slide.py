"""Open a slide, plan its patches and overviews, and read them: all that depends on this slide alone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SlideError, SourceError
from histoforge.ingest.codecs import Codec, slide_codec
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.fetching import fetched_slide
from histoforge.ingest.pixels import letterboxed
from histoforge.ingest.regions import slide_regions
from histoforge.ingest.slide_list import SlideItem
from histoforge.ingest.source import ReadLog, worker_count
from histoforge.ingest.stains import normaliser_of
from histoforge.patches.duplicates import pixel_key
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
from histoforge.storage import Location

Batches = Iterator[tuple[NDArray[np.int64], Pixels]]
"""Batches of rows, int64 [n], and their pixels, uint8 [n, h, w, 3]."""


@dataclass(frozen=True)
class Level:
    """The plan of the patches of one level of a slide, or of its overviews where they are cut like patches.

    Attributes:
        plan: a row per patch with x, y (level-0 px), label and tissue, before any maximum per class.
        scale: the scale at which they are read.
    """

    plan: pd.DataFrame
    scale: Scale


@dataclass(frozen=True)
class SlideOverview:
    """A whole slide as one image.

    Attributes:
        pixels: uint8 [h, w, 3], with normalised stains if they are normalised.
        key: its `pixel_key` before that, which tells whether two slides are the same.
    """

    pixels: Pixels
    key: int


@dataclass(frozen=True)
class SlideFacts:
    """What the report shows of a slide: the share of tissue, and the size of its picture, px."""

    tissue: float
    width: int
    height: int


class CutSlide(Protocol):
    """A slide to take patches from: open, or cut before (`stored_slide.StoredSlide`).

    Attributes:
        patches: the plan of the patches.
        overviews: the plan of the overviews; None if they are not cut like patches.
        warnings: one sentence for each repair of its annotation.
        codec: how the level is stored from which the patches are read.
    """

    @property
    def patches(self) -> Level: ...

    @property
    def overviews(self) -> Level | None: ...

    @property
    def warnings(self) -> list[str]: ...

    @property
    def codec(self) -> Codec: ...

    def overview(self) -> SlideOverview:
        """Return the whole slide as one image.

        Raises:
            SlideError: the slide is damaged.
        """
        ...

    def read(self, level: Level, rows: NDArray[np.int64]) -> Batches:
        """Yield the images at `rows` of the plan of a level, in an order that depends on these rows alone.

        The rows of the batches count within `rows`.

        Raises:
            SlideError: the slide is damaged in one of them.
        """
        ...

    def picture(self, path: Path) -> SlideFacts:
        """Write a picture of the slide with tissue, planned patches and regions, as JPEG."""
        ...


@dataclass(frozen=True)
class OpenedSlide:
    """An open slide."""

    config: IngestConfig
    classes: Sequence[str]
    slide: Slide
    tissue: Tissue
    annotations: Annotations
    patches: Level
    overviews: Level | None

    @property
    def warnings(self) -> list[str]:
        return self.annotations.warnings

    @property
    def codec(self) -> Codec:
        return slide_codec(self.slide.path, self.slide.level_sizes[self.patches.scale.level])

    @cached_property
    def _transform(self) -> Transform | None:
        """The stain normalisation, or None.

        It is fitted to the whole plan, so that colours do not depend on how many patches of other slides were admitted.
        """
        normaliser = normaliser_of(self.config.stain)
        if normaliser is None:
            return None
        return fit_to_slide(normaliser, self.slide, self.patches.plan, self.patches.scale)

    def overview(self) -> SlideOverview:
        """See `CutSlide`; the picture on which tissue was found is used if it is large enough."""
        size, picture = self.config.overview_px, self.tissue.image
        large = picture.shape[0] >= size[0] or picture.shape[1] >= size[1]
        pixels = letterboxed(picture, size) if large else read_overview(self.slide, size)
        return SlideOverview(pixels if self._transform is None else self._transform(pixels), pixel_key(pixels))

    def read(self, level: Level, rows: NDArray[np.int64]) -> Batches:
        plan = level.plan.iloc[rows].reset_index(drop=True)
        yield from read_patches(self.slide, plan, level.scale, worker_count(self.config.workers), self._transform)

    def picture(self, path: Path) -> SlideFacts:
        drawn = [region for region in self.annotations.regions if region.label < len(self.classes)]
        width, height = write_picture(path, self.tissue, self.patches.plan, self.patches.scale, drawn)
        return SlideFacts(round(self.tissue.share, 4), width, height)


class SlideOpener:
    """Opens the slides of one location and plans their patches."""

    def __init__(self, config: IngestConfig, location: Location, classes: list[str], log: ReadLog) -> None:
        self._config, self._location, self._classes, self._log = config, location, classes, log
        self._settings = PlanSettings(
            stride=config.stride or None,
            min_tissue=config.min_tissue,
            membership=config.membership,
            min_region=config.min_region,
        )

    def check(self, item: SlideItem) -> None:
        """Detect errors that the user has to correct.

        Raises:
            SourceError: the slide's mpp or annotation is missing or wrong.
        """
        with ExitStack() as stack:
            try:
                slide = self._enter(item, stack)
            except SlideError:
                return
            self._regions(item, slide)

    def open(self, item: SlideItem, stack: ExitStack) -> OpenedSlide:
        """Open a slide and plan its patches. The stack closes it and removes fetched files.

        Raises:
            SlideError: it does not open, or is damaged.
            SourceError: its mpp or its annotation is missing or wrong.
        """
        slide = self._enter(item, stack)
        annotations = self._regions(item, slide)
        by_level = self._config.level >= 0
        scale = patch_scale(
            slide,
            self._config.size,
            mpp=None if by_level else self._config.mpp,
            level=self._config.level if by_level else None,
        )
        tissue = find_tissue(slide)
        plan = self._plan(item, slide, scale, tissue, annotations, self._settings)
        overviews = None
        if self._config.overview_shrink:
            overlap = self._config.overview_overlap / self._config.overview_shrink
            settings = replace(self._settings, stride=None, overlap=overlap)
            coarser = self._overview_scale(slide, scale)
            overviews = Level(self._plan(item, slide, coarser, tissue, annotations, settings), coarser)
        return OpenedSlide(self._config, self._classes, slide, tissue, annotations, Level(plan, scale), overviews)

    def _enter(self, item: SlideItem, stack: ExitStack) -> Slide:
        """Fetch and open a slide.

        Raises:
            SlideError: it does not open.
        """
        fetched = fetched_slide(item, self._location, self._log.temporary, self._config.slide_mpp)
        return stack.enter_context(fetched)

    def _regions(self, item: SlideItem, slide: Slide) -> Annotations:
        """Return the regions of a slide.

        Raises:
            SourceError: its mpp or its annotation is missing or wrong, which the user has to correct.
        """
        try:
            if self._config.level < 0:
                slide.required_mpp()
            return slide_regions(item, slide, self._classes, self._config.ignored, self._config.outside_class)
        except SlideError as error:
            raise SourceError(self._log.named(error)) from error

    def _plan(
        self,
        item: SlideItem,
        slide: Slide,
        scale: Scale,
        tissue: Tissue,
        annotations: Annotations,
        settings: PlanSettings,
    ) -> pd.DataFrame:
        label = self._classes.index(item.label) if item.label in self._classes else None
        plan = plan_patches(slide, scale, tissue, settings, annotations.regions, label)
        return plan[plan["label"] < len(self._classes)].reset_index(drop=True)

    def _overview_scale(self, slide: Slide, patches: Scale) -> Scale:
        """Return the scale of overviews: `overview_shrink` times coarser than the patches."""
        size, shrink = self._config.overview_px, self._config.overview_shrink
        if self._config.level < 0:
            return patch_scale(slide, size, mpp=self._config.mpp * shrink)
        mpp = None if patches.mpp is None else patches.mpp * shrink
        return Scale(size, patches.level, patches.downsample, self._config.overview_footprint, mpp)
