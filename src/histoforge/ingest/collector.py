"""Collect patches and overviews from sources, and limit the number of patches per class."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.core.files import write_json
from histoforge.core.seeds import numpy_rng
from histoforge.patches import PatchSetWriter
from histoforge.patches.images import Pixels

FLUSH_BYTES = 8 * 2**20


def patch_draws(seed: int, file: str, count: int) -> NDArray[np.float64]:
    """Return random numbers for the patches of a file, float64 [count], equal in every run with this seed."""
    return numpy_rng(seed, "cap", file).random(count)


def overview_draws(seed: int, file: str, count: int) -> NDArray[np.float64]:
    """Return random numbers for the overviews of a file, float64 [count], equal in every run with this seed."""
    return numpy_rng(seed, "overview cap", file).random(count)


class ClassCap:
    """Keep the patches of each class with the smallest random numbers, up to a maximum.

    This is an unbiased sample of all patches of a class, whatever their order, and it rejects most of the other patches
    before they are read.
    """

    def __init__(self, max_patches: int, classes: int) -> None:
        self.max_patches = max_patches
        self._smallest: list[NDArray[np.float64]] = [np.empty(0) for _ in range(classes)]

    def admit(self, draws: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask of the new patches that are among the smallest so far; bool [n]."""
        if not self.max_patches:
            return np.ones(len(draws), np.bool_)
        for label in np.unique(labels):
            pool = np.concatenate([self._smallest[label], draws[labels == label]])
            self._smallest[label] = np.sort(pool)[: self.max_patches]
        return self.kept(draws, labels)

    def kept(self, draws: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return a mask of the patches that are among the smallest of all offered; bool [n]."""
        if not self.max_patches:
            return np.ones(len(draws), np.bool_)
        limits = np.array([draws[-1] if len(draws) == self.max_patches else np.inf for draws in self._smallest])
        return draws <= limits[labels]


class Buffer:
    """Collect images and columns for a writer, so that it gets many at once."""

    def __init__(self, writer: PatchSetWriter) -> None:
        self.writer = writer
        self._images: list[Pixels] = []
        self._columns: dict[str, list[Any]] = {}
        self._bytes = 0

    def add(self, images: Pixels, columns: dict[str, Any]) -> None:
        """Add images, uint8 [n, h, w, 3], with their columns (scalars or sequences of n)."""
        self._images.append(images)
        for name, value in columns.items():
            values = [value] * len(images) if np.ndim(value) == 0 else list(value)
            self._columns.setdefault(name, []).extend(values)
        self._bytes += images.nbytes
        if self._bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pass the buffered images to the writer."""
        if self._images:
            images = self._images[0] if len(self._images) == 1 else np.concatenate(self._images)
            self.writer.add(images, **self._columns)
        self._images, self._columns, self._bytes = [], {}, 0


class PatchCollector:
    """Collect patches, overviews and pictures from a source.

    Attributes:
        patches, overviews: the writers of the two patch sets.
        cap, overview_cap: the maximum numbers of patches and of overviews per class.
        count, overview_count: numbers of patches and of overviews collected so far.
    """

    def __init__(
        self,
        patches: PatchSetWriter,
        overviews: PatchSetWriter,
        *,
        classes: int,
        max_per_class: int,
        max_overviews_per_class: int = 0,
        seed: int,
    ) -> None:
        """Collect for two writers.

        Args:
            patches, overviews: the writers of the two patch sets.
            classes: number of classes.
            max_per_class, max_overviews_per_class: maximum numbers of patches and of overviews per class; 0 is all.
            seed: seed of the sample that is kept.
        """
        self.patches, self.overviews = patches, overviews
        self.cap = ClassCap(max_per_class, classes)
        self.overview_cap = ClassCap(max_overviews_per_class, classes)
        self.count = self.overview_count = 0
        self._seed = seed
        self._patch_buffer, self._overview_buffer = Buffer(patches), Buffer(overviews)
        self._keys: list[NDArray[np.uint64]] = []
        self._draws: list[NDArray[np.float64]] = []
        self._overview_draws: list[NDArray[np.float64]] = []
        self._discarded: list[tuple[int, int]] = []
        self._discarded_overviews: list[tuple[int, int]] = []
        self._pictures: list[dict[str, Any]] = []

    def draw(self, file: str, count: int) -> NDArray[np.float64]:
        """Return random numbers for the patches of a file; see `patch_draws`."""
        return patch_draws(self._seed, file, count)

    def draw_overviews(self, file: str, count: int) -> NDArray[np.float64]:
        """Return random numbers for the overviews of a file; see `overview_draws`."""
        return overview_draws(self._seed, file, count)

    def add(
        self, images: Pixels, keys: NDArray[np.uint64], draws: NDArray[np.float64], columns: dict[str, Any]
    ) -> None:
        """Add patches.

        Args:
            images: uint8 [n, h, w, 3].
            keys: the `pixel_key` of the image or slide that each comes from, [n].
            draws: their random numbers, [n].
            columns: scalars or sequences of n, by the index's names.
        """
        self._patch_buffer.add(images, columns)
        self._keys.append(keys)
        self._draws.append(draws)
        self.count += len(images)

    def add_overviews(self, images: Pixels, draws: NDArray[np.float64], columns: dict[str, Any]) -> None:
        """Add overviews, uint8 [n, h, w, 3], with their random numbers, [n]."""
        self._overview_buffer.add(images, columns)
        self._overview_draws.append(draws)
        self.overview_count += len(images)

    def add_picture(self, description: dict[str, Any]) -> None:
        """Describe a picture in `picture_folder` for the report, with JSON values."""
        self._pictures.append(description)

    @property
    def picture_folder(self) -> Path:
        """The folder for pictures of slides."""
        folder = self.overviews.directory / "pictures"
        folder.mkdir(exist_ok=True)
        return folder

    def discard_from(self, start: int, first_overview: int) -> None:
        """Discard what was added from the `start`-th patch and the `first_overview`-th overview on.

        This is for the patches and overviews of a slide that turns out to be damaged.
        """
        self._discarded.append((start, self.count))
        self._discarded_overviews.append((first_overview, self.overview_count))

    def close(self) -> None:
        """Write the buffered images, and list the pictures."""
        self._patch_buffer.flush()
        self._overview_buffer.flush()
        write_json(self.picture_folder / "pictures.json", self._pictures)

    @property
    def intact(self) -> NDArray[np.bool_]:
        """Return a mask of the patches whose slides could be read to the end, bool [count]."""
        return _outside(self._discarded, self.count)

    @property
    def overviews_to_keep(self) -> NDArray[np.bool_]:
        """Return a mask of the overviews of intact slides that the maximum per class keeps, bool [overview_count]."""
        labels = self.overviews.index()["label"].to_numpy(np.int64)
        within_cap = self.overview_cap.kept(np.concatenate([np.empty(0), *self._overview_draws]), labels)
        return within_cap & _outside(self._discarded_overviews, self.overview_count)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Return the `pixel_key` of each patch's image, [count]."""
        return np.concatenate([np.empty(0, np.uint64), *self._keys])

    @property
    def draws(self) -> NDArray[np.float64]:
        """Return the random number of each patch, [count]."""
        return np.concatenate([np.empty(0), *self._draws])


def _outside(ranges: list[tuple[int, int]], count: int) -> NDArray[np.bool_]:
    """Return a mask of the numbers from 0 to `count` that are in none of the ranges, bool [count]."""
    mask = np.ones(count, np.bool_)
    for start, stop in ranges:
        mask[start:stop] = False
    return mask
