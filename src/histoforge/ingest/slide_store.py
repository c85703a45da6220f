"""Slides that were cut before, a directory each, under a key of the slide and of the settings that it was cut with."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from histoforge import __version__
from histoforge.core.digests import digest_file, digest_json
from histoforge.core.documents import known_shape
from histoforge.core.errors import SourceError
from histoforge.core.files import atomic_directory
from histoforge.core.seals import read_sealed, write_sealed
from histoforge.ingest.collector import ClassCap, overview_draws, patch_draws
from histoforge.ingest.config import IngestConfig
from histoforge.ingest.opened_slide import CutSlide
from histoforge.ingest.slide_list import SlideItem
from histoforge.ingest.stored_slide import INFO_NAME, StoredSlide, store_slide
from histoforge.ingest.stored_slide import VERSION as SLIDE_VERSION
from histoforge.storage import Entry, Location
from histoforge.storage.local import LocalLocation

CUTS_NAME, FORMAT, VERSION = "cuts.json", "histoforge.cuts", 1
AFTER_CUTTING = {
    "source", "kind", "labels", "annotations", "classes", "max_patches_per_class", "split_by", "split_ratios", "folds",
    "patient_pattern", "train_fraction", "control_share", "small_images", "drop_conflicts", "max_failed_slides",
    "max_overviews_per_class", "workers", "slide_cache", "images_location", "seed",
}  # fmt: skip
"""Settings that a cut slide does not depend on, or whose effect on it `slide_key` names."""


class SlideStore:
    """The cut slides at one location."""

    def __init__(self, location: Location, temporary: Path) -> None:
        """List them.

        Args:
            location: a folder, or an S3 prefix.
            temporary: a folder for slides that are fetched, or are on their way to the location.

        Raises:
            StorageError: the location does not answer.
        """
        self._location, self._temporary = location, temporary
        self._keys = {entry.name.partition("/")[0] for entry in location.entries() if entry.name.endswith(INFO_NAME)}

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def put(self, key: str, item: SlideItem, slide: CutSlide, config: IngestConfig, classes: int) -> None:
        """Read an open slide, and store it.

        Raises:
            SlideError: the slide is damaged.
            StorageError: the location cannot be written.
        """
        plan = slide.patches.plan
        draws = patch_draws(config.seed, item.file, len(plan))
        patches = ClassCap(config.max_patches_per_class, classes).admit(draws, plan["label"].to_numpy())
        overviews = np.empty(0, np.bool_)
        if slide.overviews is not None:
            plan = slide.overviews.plan
            draws = overview_draws(config.seed, item.file, len(plan))
            overviews = ClassCap(config.max_overviews_per_class, classes).admit(draws, plan["label"].to_numpy())
        local = isinstance(self._location, LocalLocation)
        folder = self._location.root / key if isinstance(self._location, LocalLocation) else self._temporary / key
        with atomic_directory(folder) as partial:
            store_slide(partial, key, slide, np.flatnonzero(patches), np.flatnonzero(overviews))
        if not local:
            self._location.child(key).put_tree(folder, last=INFO_NAME)
            shutil.rmtree(folder)
        self._keys.add(key)

    @contextmanager
    def opened(self, key: str) -> Iterator[StoredSlide]:
        """Yield a cut slide, fetched for the block if it is not in a folder.

        Raises:
            SourceError: it is damaged.
            StorageError: the location does not answer.
        """
        if isinstance(self._location, LocalLocation):
            yield StoredSlide.open(self._location.root / key, key)
            return
        folder = self._temporary / key
        self._location.child(key).get_tree(folder)
        try:
            yield StoredSlide.open(folder, key)
        finally:
            shutil.rmtree(folder)


def slide_key(config: IngestConfig, classes: Sequence[str], item: SlideItem, entries: Mapping[str, Entry]) -> str:
    """Return the key of a slide: a digest of its files, its annotation, its label, and the settings for cutting it.

    Args:
        config: the settings.
        classes: class names in the order of the labels.
        item: the slide in the list of slides.
        entries: the files of the source by name.
    """
    caps = (config.max_patches_per_class, config.max_overviews_per_class)
    return digest_json(
        {
            "code": [__version__, SLIDE_VERSION],
            "files": [[name, entries[name].size, entries[name].version] for name in (item.file, *item.companions)],
            "annotation": digest_file(item.annotation) if item.annotation else "",
            "label": item.label,
            "mpp": item.mpp,
            "classes": list(classes),
            "sample": [*caps, config.seed] if any(caps) else [],
            "settings": config.model_dump(mode="json", include=set(IngestConfig.model_fields) - AFTER_CUTTING),
        }
    )


def write_cuts(folder: Path, keys: Mapping[str, str], crashed: Mapping[str, str]) -> None:
    """Describe a shard: the key of each slide, and for those that ended the process that cut them, the reason."""
    write_sealed(folder / CUTS_NAME, {"format": FORMAT, "slides": dict(keys), "crashed": dict(crashed)}, VERSION)


def read_cuts(folders: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the key of each slide of several shards, and why some of them cannot be cut.

    Raises:
        SourceError: a folder is no result of `cut_slides`, or two shards have the same slide.
    """
    keys: dict[str, str] = {}
    crashed: dict[str, str] = {}
    for folder in folders:
        cuts = read_sealed(folder / CUTS_NAME, VERSION, "run 'histoforge cut-slides' again", SourceError)
        if cuts.get("format") != FORMAT:
            raise SourceError(f"{folder} is not a folder of cut slides: name one that 'histoforge cut-slides' made.")
        with known_shape(folder / CUTS_NAME, SourceError):
            slides = dict(cuts["slides"])
            crashed |= cuts.get("crashed", {})
        repeated = sorted(keys.keys() & slides.keys())
        if repeated:
            raise SourceError(
                f"The slide {repeated[0]} was cut for two shards, the second of which is {folder}: give each slide to "
                "one shard."
            )
        keys |= slides
    return keys, crashed
