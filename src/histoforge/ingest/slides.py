"""Whole-slide images with annotations, a slides.csv or both."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SlideError, SourceError
from histoforge.core.progress import Progress
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.opened_slide import CutSlide, Level, SlideOpener
from histoforge.ingest.slide_list import SlideItem, list_slides
from histoforge.ingest.slide_store import SlideStore, read_cuts, slide_key
from histoforge.ingest.source import ReadLog, in_order, worker_count
from histoforge.patches.duplicates import location_keys
from histoforge.slides import Scale
from histoforge.storage import Entry, Location, open_location
from histoforge.storage.local import LocalLocation

Opener = Callable[[SlideItem, ExitStack], CutSlide]


class SlideSource:
    """Slides of one location. A slide in a folder is read in place; an S3 object is fetched, read and removed.

    Slides are cut one by one (`cut`), and what depends on several of them is decided afterwards, in the order of their
    paths (`read`). `read` takes slides that were cut before from where they are stored, and reads the others itself.
    """

    kind = "slides"
    thinned: frozenset[str] | None = None

    def __init__(
        self,
        config: IngestConfig,
        location: Location,
        entries: list[Entry],
        log: ReadLog,
        cuts: Sequence[Path] = (),
    ) -> None:
        self._config, self._location, self._log = config, location, log
        listed = list_slides(config, location, entries, log)
        self.items, self.classes = listed.items, listed.classes
        self.patients_known, self.has_split = listed.patients_known, listed.has_split
        self._opener = SlideOpener(config, location, self.classes, log)
        self._entries = {entry.name: entry for entry in entries}
        self._cuts, self._crashed = read_cuts(cuts)
        self._stores = [SlideStore(LocalLocation(folder), log.temporary) for folder in cuts]

    def outline(self) -> list[tuple[str, str, str, str]]:
        return [(item.patient, item.name, label, item.split) for item in self.items for label in item.classes]

    @cached_property
    def keys(self) -> dict[str, str]:
        """The key under which each slide is stored once it is cut, by file; see `slide_key`."""
        return {item.file: slide_key(self._config, self.classes, item, self._entries) for item in self.items}

    def cut(self, store: SlideStore, items: Sequence[SlideItem]) -> Iterator[tuple[SlideItem, SlideError | None]]:
        """Cut the slides that a store lacks, and yield each with the reason for which it failed, if it did.

        Raises:
            SourceError: a slide's mpp or annotation is missing or wrong.
            StorageError: the store cannot be written.
        """
        new = [item for item in items if self.keys[item.file] not in store]
        self._check(new)
        with Progress("cutting", len(new), "slides") as progress:
            for item, slide in self._each(new, self._opener.open):
                error = slide if isinstance(slide, SlideError) else self._store(store, item, slide)
                progress.advance(slide=item.name)
                yield item, error

    def read(self, collector: PatchCollector) -> None:
        if self._cuts:
            self._check_unchanged()
        if self._config.slide_cache:
            cache = SlideStore(open_location(self._config.slide_cache), self._log.temporary)
            deque(self.cut(cache, [item for item in self.items if item.file not in self._cuts]), maxlen=0)
            self._stores.append(cache)
        self._check([item for item in self.items if self._place(item) is None and item.file not in self._crashed])
        with Progress("preprocess", len(self.items), "slides") as progress:
            for item, slide in self._each(self.items, self._stored_or_open):
                if isinstance(slide, SlideError):
                    self._log.fail(item.file, slide)
                else:
                    self._add(item, slide, collector, progress)
                progress.advance(slide=item.name, patches=collector.count)

    def _check_unchanged(self) -> None:
        """Check that the slides that were cut before are those of the source.

        Raises:
            SourceError: a slide or a setting has changed since.
        """
        changed = [file for file, key in self._cuts.items() if self.keys.get(file) != key]
        if changed:
            raise SourceError(
                f"The slide {changed[0]}, its annotation or a setting has changed since it was cut: cut it again."
            )

    def _check(self, items: Sequence[SlideItem]) -> None:
        """Detect errors that the user has to correct before hours are spent on other slides.

        This is for local slides only, because remote ones would have to be fetched.

        Raises:
            SourceError: a slide's mpp or annotation is missing or wrong.
        """
        if isinstance(self._location, LocalLocation):
            with ThreadPoolExecutor(worker_count(self._config.workers)) as pool:
                list(pool.map(self._opener.check, items))

    def _each(self, items: Sequence[SlideItem], opener: Opener) -> Iterator[tuple[SlideItem, CutSlide | SlideError]]:
        """Yield each slide, open until the next one is asked for. A local one is opened while another is read."""

        def attempt(item: SlideItem) -> tuple[ExitStack, CutSlide | SlideError]:
            with ExitStack() as stack:
                try:
                    slide: CutSlide | SlideError = opener(item, stack)
                except SlideError as error:
                    slide = error
                return stack.pop_all(), slide

        ahead = 1 if isinstance(self._location, LocalLocation) else 0
        with ThreadPoolExecutor(1) as pool:
            jobs: Iterator[Future[tuple[ExitStack, CutSlide | SlideError]]] = (
                pool.submit(attempt, item) for item in items
            )
            for item, (stack, slide) in zip(items, in_order(jobs, ahead), strict=True):
                with stack:
                    yield item, slide

    def _store(self, store: SlideStore, item: SlideItem, slide: CutSlide) -> SlideError | None:
        try:
            store.put(self.keys[item.file], item, slide, self._config, len(self.classes))
        except SlideError as error:
            return error
        return None

    def _place(self, item: SlideItem) -> SlideStore | None:
        """Return the store that has a slide, or None."""
        return next((store for store in self._stores if self.keys[item.file] in store), None)

    def _stored_or_open(self, item: SlideItem, stack: ExitStack) -> CutSlide:
        if item.file in self._crashed:
            raise SlideError(self._crashed[item.file])
        store = self._place(item)
        if store is None:
            return self._opener.open(item, stack)
        return stack.enter_context(store.opened(self.keys[item.file]))

    def _add(self, item: SlideItem, slide: CutSlide, collector: PatchCollector, progress: Progress) -> None:
        """Add the patches and overviews that the maximum numbers per class admit so far."""
        self._log.warnings.extend(slide.warnings)
        plan = slide.patches.plan
        draws = collector.draw(item.file, len(plan))
        rows = np.flatnonzero(collector.cap.admit(draws, plan["label"].to_numpy()))
        if not len(rows):
            self._log.warnings.append(
                f"The slide {item.file} yields no patches: nothing in it (or in its regions) reaches min_tissue"
            )
            return
        start, first_overview = collector.count, collector.overview_count
        try:
            overview = slide.overview()
            for batch, images in slide.read(slide.patches, rows):
                of_plan = rows[batch]
                corners = (plan[side].to_numpy()[of_plan] for side in ("x", "y"))
                columns = self._columns(item, slide.patches.scale, plan, of_plan)
                collector.add(images, location_keys(overview.key, *corners), draws[of_plan], columns)
                progress.advance(0, slide=item.name, patches=collector.count)
            if slide.overviews is not None:
                self._add_overviews(item, slide, slide.overviews, collector)
        except SlideError as error:
            collector.discard_from(start, first_overview)
            self._log.fail(item.file, error)
            return
        self._log.files += 1
        self._log.codecs[item.file] = slide.codec
        admitted = plan.iloc[rows]
        if slide.overviews is None:
            whole = {"label": int(admitted["label"].mode()[0]), "level": 0, "mpp": float("nan")}
            collector.add_overviews(overview.pixels[None], np.zeros(1), {**self._shared(item), **whole})
        self._picture(item, slide, admitted, collector)

    def _add_overviews(self, item: SlideItem, slide: CutSlide, level: Level, collector: PatchCollector) -> None:
        """Add overviews that are cut like patches, at a coarser resolution.

        Raises:
            SlideError: the slide is damaged.
        """
        draws = collector.draw_overviews(item.file, len(level.plan))
        rows = np.flatnonzero(collector.overview_cap.admit(draws, level.plan["label"].to_numpy()))
        for batch, images in slide.read(level, rows):
            columns = self._columns(item, level.scale, level.plan, rows[batch])
            collector.add_overviews(images, draws[rows[batch]], columns)

    def _columns(self, item: SlideItem, scale: Scale, plan: pd.DataFrame, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Return the index columns of patches at `rows` of a plan."""
        planned = {name: plan[name].to_numpy()[rows] for name in ("label", "x", "y", "tissue")}
        return {**planned, **self._shared(item), "level": scale.level, "mpp": scale.mpp or float("nan")}

    def _shared(self, item: SlideItem) -> dict[str, Any]:
        """Return the index columns that all patches and overviews of a slide share."""
        return {"patient": item.patient, "slide": item.name, "split": item.split, "file": item.file}

    def _picture(self, item: SlideItem, slide: CutSlide, plan: pd.DataFrame, collector: PatchCollector) -> None:
        """Draw the slide for the report."""
        name = f"{item.name}.jpg"
        facts = slide.picture(collector.picture_folder / name)
        collector.add_picture(
            {
                "slide": item.name,
                "patient": item.patient,
                "file": item.file,
                "picture": name,
                "width": facts.width,
                "height": facts.height,
                "patches": {name: int((plan["label"] == label).sum()) for label, name in enumerate(self.classes)},
                "tissue": facts.tissue,
                "mpp": slide.patches.scale.mpp,
            }
        )
