"""The step `cut_slides`, which cuts a part of the slides of a source, so that several machines cut side by side."""

import tempfile
import time
from pathlib import Path

from histoforge.core.files import atomic_directory
from histoforge.core.progress import say
from histoforge.core.text import counted
from histoforge.ingest.opening import open_source
from histoforge.ingest.shards import check_listed
from histoforge.ingest.slide_store import SlideStore, write_cuts
from histoforge.ingest.slides import SlideSource
from histoforge.ingest.source import ReadLog
from histoforge.steps.cut_slides_config import CutSlidesConfig, CutSlidesSummary
from histoforge.storage import open_location
from histoforge.storage.local import LocalLocation


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
        reused = 0
        if isinstance(source, SlideSource):
            chosen = check_listed(config.slides, entries)
            items = [item for item in source.items if not chosen or item.file in chosen]
            cache = open_location(config.slide_cache) if config.slide_cache else LocalLocation(folder)
            store = SlideStore(cache, Path(temporary))
            keys = {item.file: source.keys[item.file] for item in items}
            reused = sum(key in store for key in keys.values())
            for item, error in source.cut(store, items):
                if error is not None:
                    del keys[item.file]
                    log.fail(item.file, error)
        write_cuts(folder, keys)
    for failure in log.failed:
        say(f"cut_slides: skipped {failure.name}: {failure.reason}")
    cached = f", {reused} of them before" if reused else ""
    say(f"cut_slides: {counted(len(keys), 'slides')} are cut{cached}")
    seconds = round(time.monotonic() - began, 3)
    return CutSlidesSummary(slides=len(keys), reused=reused, failed=log.failed, seconds=seconds)
