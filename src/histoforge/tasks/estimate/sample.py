"""Cut a sample of a source, to see how many patches the whole will yield, how long that takes, and how they look."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.ingest.collector import ClassCap, PatchCollector
from histoforge.ingest.opening import open_source
from histoforge.ingest.source import ReadLog, worker_count
from histoforge.patches import PatchSetWriter
from histoforge.patches.images import Pixels
from histoforge.patches.patchset import PatchSet
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.storage import Entry, open_location
from histoforge.tasks.usage import Meter, Usage

SLIDES, IMAGES = 4, 64
"""Most slides or images of a sample, besides those that a class needs to occur."""
READ_PER_CLASS = 256
"""Most patches of a class whose pixels are read; the plans of the sampled slides are counted whole."""


@dataclass(frozen=True)
class SourceSample:
    """A source as a sample of it predicts it.

    Attributes:
        classes: class names.
        counts: expected patches of the whole source by class, int64 [classes].
        share: the sample's share of the source's bytes.
        files: slides or images in the sample.
        usage: time and memory of cutting the sample.
        seconds: expected time of cutting the whole source.
        images, overviews: pixels of some patches and overviews, uint8 [n, H, W, 3].
    """

    classes: list[str]
    counts: NDArray[np.int64]
    share: float
    files: int
    usage: Usage
    seconds: float
    images: Pixels
    overviews: Pixels


class CountingCap(ClassCap):
    """A maximum per class that counts what it is offered.

    Attributes:
        offered: number of patches offered by class, int64 [classes].
    """

    def __init__(self, max_patches: int, classes: int) -> None:
        super().__init__(max_patches, classes)
        self.offered = np.zeros(classes, np.int64)

    def admit(self, draws: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        self.offered += np.bincount(labels, minlength=len(self.offered))
        return super().admit(draws, labels)


def cut_sample(config: PreprocessConfig) -> SourceSample:
    """Cut a few slides or images of a source, spread over it so that every class occurs.

    Raises:
        SourceError: the source cannot be used, or the sample yields no patches.
        StorageError: the location does not answer.
    """
    location = open_location(config.source)
    entries = location.source_entries()
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        folder, meter = Path(temporary), Meter()
        log = ReadLog(str(location), config.max_failed_slides, folder)
        source: Any = open_source(config, location, entries, log)
        share, files = 1.0, len(entries)
        if hasattr(source, "items"):
            whole = source.items
            source.items = _spread(whole, SLIDES if source.kind == "slides" else IMAGES)
            share, files = _bytes(source.items, entries) / max(1, _bytes(whole, entries)), len(source.items)
        classes = source.classes
        with (
            PatchSetWriter.create(folder / "patches", classes, config.size) as writer,
            PatchSetWriter.create(folder / "overviews", classes, config.overview_px) as overview_writer,
        ):
            most = min(config.max_patches_per_class or READ_PER_CLASS, READ_PER_CLASS)
            collector = PatchCollector(
                writer,
                overview_writer,
                classes=len(classes),
                max_per_class=most,
                max_overviews_per_class=config.max_overviews_per_class,
                seed=config.seed,
            )
            collector.cap = cap = CountingCap(most, len(classes))
            source.read(collector)
            collector.close()
            for each in (writer, overview_writer):
                each.finish({"step": "estimate"}, split=["train"] * len(each.index()))
        usage, read = meter.read(), collector.count
        if not read:
            raise SourceError(
                f"{files} files of {location}, a sample of it, yield no patches: lower min_tissue, or check the "
                "annotations."
            )
        counts = np.ceil(cap.offered / share).astype(np.int64)
        if config.max_patches_per_class:
            counts = np.minimum(counts, config.max_patches_per_class)
        return SourceSample(
            classes=classes,
            counts=counts,
            share=share,
            files=files,
            usage=usage,
            seconds=_seconds_of_whole(usage, share, int(counts.sum()), read, source.kind, config.workers),
            images=PatchSet.open(folder / "patches").images(slice(0, 4 * READ_PER_CLASS)),
            overviews=PatchSet.open(folder / "overviews").images(slice(0, 4 * READ_PER_CLASS)),
        )


def _seconds_of_whole(usage: Usage, share: float, patches: int, read: int, kind: str, workers: int) -> float:
    """Return the time for the whole source: of slides, the decoding grows with the patches, the rest with the bytes.

    Images are decoded whole, whatever number of their patches is kept.
    """
    decode = usage.phases.get("decode")
    decoding = min(usage.seconds, decode.seconds / worker_count(workers)) if decode and kind == "slides" else 0.0
    return (usage.seconds - decoding) / share + decoding * patches / read


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """Return items at equal distances, and the first of each class that they lack, in their order."""
    chosen = set(np.linspace(0, len(items) - 1, min(most, len(items)), dtype=int).tolist())
    seen = {name for index in chosen for name in _classes(items[index])}
    for index, item in enumerate(items):
        if not seen.issuperset(_classes(item)):
            chosen.add(index)
            seen.update(_classes(item))
    return [items[index] for index in sorted(chosen)]


def _classes(item: Any) -> Sequence[str]:
    return item.classes if hasattr(item, "classes") else [item.label]


def _bytes(items: Sequence[Any], entries: Sequence[Entry]) -> int:
    sizes = {entry.name: entry.size for entry in entries}
    return sum(sizes.get(getattr(item, "file", None) or item.name, 0) for item in items)
