"""The step `cut_slides`, which cuts a part of the slides of a source, so that several machines cut side by side."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from histoforge.core.errors import SlideError
from histoforge.core.files import atomic_directory
from histoforge.core.progress import say
from histoforge.core.text import counted
from histoforge.ingest.opening import open_source
from histoforge.ingest.own_process import Outcome, cut_in_own_process
from histoforge.ingest.shards import check_listed
from histoforge.ingest.slide_store import SlideStore, write_cuts
from histoforge.ingest.slides import SlideSource
from histoforge.ingest.source import ReadLog
from histoforge.steps.cut_slides_config import CutSlidesConfig, CutSlidesSummary
from histoforge.storage import open_location


def run(config: CutSlidesConfig, *, cuts: Path) -> CutSlidesSummary:
    """Cut slides one by one, each as it is, whatever becomes of its patches beside those of other slides.

    They are stored in `slide_cache`, where slides that are there already are not cut again, or in `cuts`. A source of
    images or HDF5 files has no slides, and `preprocess` reads it alone.

    Raises:
        HistoforgeError: the source cannot be used, a slide has changed since it was listed, or more slides fail than
            `max_failed_slides` allows; earlier outputs are left as they were.
    """
    began = time.monotonic()
    location = open_location(config.source)
    entries = location.source_entries()
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary, atomic_directory(cuts) as folder:
        log = ReadLog(str(location), config.max_failed_slides, Path(temporary))
        source = open_source(config, location, entries, log)
        keys: dict[str, str] = {}
        new: list[str] = []
        crashed: dict[str, str] = {}
        if isinstance(source, SlideSource):
            chosen = check_listed(config.slides, entries)
            keys = {item.file: source.keys[item.file] for item in source.items if not chosen or item.file in chosen}
            cache_location = config.slide_cache or str(folder)
            store = SlideStore(open_location(cache_location), Path(temporary))
            new = [file for file, key in keys.items() if key not in store]
            for outcome in () if config.reuse_only else _cut(config, source, store, new, cache_location):
                if outcome.reason:
                    log.fail(outcome.file, SlideError(outcome.reason))
                if outcome.crashed:
                    crashed[outcome.file] = outcome.reason
        failed = {failure.name for failure in log.failed}
        without = set(new) if config.reuse_only else failed - set(crashed)
        write_cuts(folder, {file: key for file, key in keys.items() if file not in without}, crashed)
    for failure in log.failed:
        say(f"cut_slides: skipped {failure.name}: {failure.reason}")
    reused = len(keys) - len(new)
    slides = reused if config.reuse_only else len(keys) - len(failed)
    cached = f", {reused} of them before" if reused else ""
    say(f"cut_slides: {counted(slides, 'slides')} are cut{cached}")
    seconds = round(time.monotonic() - began, 3)
    return CutSlidesSummary(slides=slides, reused=reused, failed=log.failed, seconds=seconds)


def _cut(
    config: CutSlidesConfig, source: SlideSource, store: SlideStore, files: list[str], place: str
) -> Iterator[Outcome]:
    if config.own_process:
        yield from cut_in_own_process(config, files, place)
        return
    for item, error in source.cut(store, [item for item in source.items if item.file in files]):
        yield Outcome(item.file, str(error) if error else "")
