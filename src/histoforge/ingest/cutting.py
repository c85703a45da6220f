"""Cut an image into patches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.ingest.pixels import grid, letterboxed, resize, tissue_share
from histoforge.ingest.stains import fit_to_images
from histoforge.patches.duplicates import pixel_key
from histoforge.patches.images import Pixels
from histoforge.slides.stain import Macenko, Reinhard, Transform

SAME_SCALE = 0.02


@dataclass(frozen=True)
class CutSettings:
    """Settings for cutting images.

    Attributes:
        size: height and width of a patch, px.
        stride: step between patches, px; 0 is the patch size.
        min_tissue: minimum fraction of tissue in a patch; an image of exactly one patch is always taken.
        overview_px: height and width of an overview, px.
        scale: patch pixels per pixel of an image.
        small_images: handling of images smaller than a patch, 'error', 'skip' or 'resize'.
        normaliser: the stain normalisation, or None.
    """

    size: tuple[int, int]
    stride: int
    min_tissue: float
    overview_px: tuple[int, int]
    scale: float
    small_images: str
    normaliser: Macenko | Reinhard | None


@dataclass(frozen=True)
class CutImage:
    """The patches of one image.

    Attributes:
        patches: uint8 [n, h, w, 3].
        x, y: their upper left corners in px of the image, int64 [n].
        key: the image's `pixel_key`.
        overview: the image shrunk to an overview, if it is larger than one patch.
        empty: number of tiles that were left out as glass.
    """

    patches: Pixels
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    key: int
    overview: Pixels | None
    empty: int


def cut_image(image: Pixels, name: str, settings: CutSettings, transform: Transform | None = None) -> CutImage:
    """Cut an image into patches on a centred grid, leaving out tiles with too little tissue.

    Args:
        image: uint8 [H, W, 3].
        name: its name in messages.
        settings: how to cut.
        transform: the stain normalisation of its slide; with None it is fitted to the image.

    Raises:
        SourceError: the image is smaller than a patch, and `small_images` is 'error'.
    """
    key = pixel_key(image)
    if abs(settings.scale - 1) > SAME_SCALE:
        image = resize(image, _scaled(image, settings.scale, (1, 1)))
    enlargement = _enlargement(image, name, settings)
    if not enlargement:
        nowhere = np.empty(0, np.int64)
        return CutImage(np.empty((0, *settings.size, 3), np.uint8), nowhere, nowhere, key, None, 0)
    if enlargement > 1:
        image = resize(image, _scaled(image, enlargement, settings.size))
    patches, x, y, empty = _tiles(image, settings)
    overview = letterboxed(image, settings.overview_px) if len(x) + empty > 1 else None
    if settings.normaliser is not None:
        transform = transform or fit_to_images(settings.normaliser, [image])
        patches = transform(patches)
        overview = transform(overview) if overview is not None else None
    x, y = (np.round(corners / (settings.scale * enlargement)).astype(np.int64) for corners in (x, y))
    return CutImage(patches, x, y, key, overview, empty)


def _enlargement(image: Pixels, name: str, settings: CutSettings) -> float:
    """Return the factor by which to enlarge an image smaller than a patch; 0 if it is to be left out."""
    (height, width), (h, w) = image.shape[:2], settings.size
    if height >= h and width >= w:
        return 1.0
    if settings.small_images == "error":
        raise SourceError(
            f"The image {name} has {width} x {height} px, less than a patch of {w} x {h}: choose a smaller patch_size, "
            "or set small_images to 'skip' or 'resize'."
        )
    return max(h / height, w / width) if settings.small_images == "resize" else 0.0


def _scaled(image: Pixels, factor: float, min_size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of an image after scaling, at least `min_size`."""
    return max(min_size[0], round(image.shape[0] * factor)), max(min_size[1], round(image.shape[1] * factor))


def _tiles(image: Pixels, settings: CutSettings) -> tuple[Pixels, NDArray[np.int64], NDArray[np.int64], int]:
    """Return the patches of an image with their corners, and the number of those left out as glass."""
    h, w = settings.size
    rows = grid(image.shape[0], h, settings.stride or h)
    columns = grid(image.shape[1], w, settings.stride or w)
    patches = np.stack([image[top : top + h, left : left + w] for top in rows for left in columns])
    y, x = (corners.ravel() for corners in np.meshgrid(rows, columns, indexing="ij"))
    if len(patches) == 1:
        return patches, x, y, 0
    kept = tissue_share(patches) >= settings.min_tissue
    return patches[kept], x[kept], y[kept], int((~kept).sum())
