"""Two views of large images: the whole image, shrunk to the size of a patch, and tiles at full resolution."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoforge.core.progress import Progress
from histoforge.evaluation.level_scoring import Comparison, join_features
from histoforge.metrics.features import Features
from histoforge.metrics.seams import seam_energy
from histoforge.patches import PatchSet
from histoforge.patches.images import Pixels

IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class Borders:
    """The borders of the windows that an image was drawn in.

    Attributes:
        rows: borders above these rows, px.
        columns: borders to the left of these columns, px.
        grid: spacing of the lines to compare them with, px.
    """

    rows: Sequence[int] = ()
    columns: Sequence[int] = ()
    grid: int = 1


@dataclass(frozen=True)
class ImageViews:
    """Views of some large images.

    Attributes:
        whole: the images, shrunk, uint8 [N, H, W, 3].
        tiles: some tiles of them at full resolution, uint8 [T, H, W, 3].
        image_of_tile: the image of each tile, int64 [T].
        seams: gradient energy across the borders relative to that elsewhere, float64 [N]; NaN without borders.
    """

    whole: Pixels
    tiles: Pixels
    image_of_tile: NDArray[np.int64]
    seams: NDArray[np.float64]


@dataclass(frozen=True)
class ViewFeatures:
    """Features of the views of all images.

    Attributes:
        whole, tiles: features of the shrunk images and of the tiles by each extractor, [N, D] and [T, D].
        image_of_tile, seams: see `ImageViews`.
    """

    whole: list[Features]
    tiles: list[Features]
    image_of_tile: NDArray[np.int64]
    seams: NDArray[np.float64]

    @classmethod
    def of(cls, views: Iterable[ImageViews], comparison: Comparison) -> "ViewFeatures":
        """Compute the features, keeping no pixels."""
        parts = [
            (
                comparison.features(each.whole, "images"),
                comparison.features(each.tiles, "tiles"),
                each.image_of_tile,
                each.seams,
            )
            for each in views
        ]
        whole, tiles, image_of_tile, seams = zip(*parts, strict=True)
        return cls(join_features(whole), join_features(tiles), np.concatenate(image_of_tile), np.concatenate(seams))

    def rows_of(self, images: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of some images in `whole`, and those of their tiles in `tiles`."""
        return images, np.flatnonzero(np.isin(self.image_of_tile, images))


def view_images(
    images: PatchSet, size: tuple[int, int], tiles: int, borders: Borders, rng: np.random.Generator
) -> Iterator[ImageViews]:
    """View large images one at a time, and yield the views of a few.

    Args:
        images: images of at least `size`.
        size: height and width of a shrunk image and of a tile, px.
        tiles: number of tiles of each image, drawn without replacement from a grid without overlap; all of them if it
            has fewer.
        borders: where to measure seams.
        rng: draws the tiles.
    """
    rows, columns = (length // side for length, side in zip(images.patch_size, size, strict=True))
    with Progress("views", len(images), "images") as progress:
        for first in range(0, len(images), IMAGES_AT_ONCE):
            numbers = np.arange(first, min(first + IMAGES_AT_ONCE, len(images)))
            whole, tiled, seams = [], [], []
            for row in numbers:
                image = images.images(np.array([row]))[0]
                whole.append(np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX)))
                for place in rng.permutation(rows * columns)[:tiles]:
                    top, left = place // columns * size[0], place % columns * size[1]
                    tiled.append(image[top : top + size[0], left : left + size[1]].copy())
                seams.append(seam_energy(image[None], borders.rows, borders.columns, borders.grid))
                progress.advance(1)
            yield ImageViews(
                np.stack(whole),
                np.stack(tiled),
                numbers.repeat(min(tiles, rows * columns)),
                np.array([np.nan if value is None else value for value in seams], np.float64),
            )
