"""Cut an image into patches."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.ingest.pixels import grid, letterboxed, padded, resize, tissue_share
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
        small_images: handling of images smaller than a patch, 'error', 'skip', 'resize' or 'pad'.
        normaliser: the stain normalisation, or None.
        overview_footprint: height and width of the tissue that an overview shows, px of the patches; zeros for one
            overview of the whole image.
        overview_overlap: overlap of overviews that show a part, px of the patches.
    """

    size: tuple[int, int]
    stride: int
    min_tissue: float
    overview_px: tuple[int, int]
    scale: float
    small_images: str
    normaliser: Macenko | Reinhard | None
    overview_footprint: tuple[int, int] = (0, 0)
    overview_overlap: int = 0


@dataclass(frozen=True)
class Tiles:
    """Areas of one image.

    Attributes:
        pixels: uint8 [n, h, w, 3].
        x, y: their upper left corners, px, int64 [n]; negative where the image was padded.
        empty: number of areas that were left out as glass.
    """

    pixels: Pixels
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    empty: int = 0

    @classmethod
    def none(cls, size: tuple[int, int]) -> "Tiles":
        """Return no tiles of a size (height, width)."""
        nowhere = np.empty(0, np.int64)
        return cls(np.empty((0, *size, 3), np.uint8), nowhere, nowhere)

    def scaled(self, factor: float) -> "Tiles":
        """Return the same tiles, with their corners multiplied by a factor."""
        x, y = (np.round(corners * factor).astype(np.int64) for corners in (self.x, self.y))
        return replace(self, x=x, y=y)

    def normalised(self, transform: Transform) -> "Tiles":
        """Return the same tiles with normalised stains."""
        return replace(self, pixels=transform(self.pixels)) if len(self.pixels) else self


@dataclass(frozen=True)
class CutImage:
    """The patches and the overviews of one image, with corners in px of the image, and the image's `pixel_key`."""

    patches: Tiles
    overviews: Tiles
    key: int


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
        return CutImage(Tiles.none(settings.size), Tiles.none(settings.overview_px), key)
    if enlargement > 1:
        image = resize(image, _scaled(image, enlargement, settings.size))
    strides = settings.stride or settings.size[0], settings.stride or settings.size[1]
    patches = _tiles(image, settings.size, strides, settings.min_tissue)
    overviews = _overviews(image, patches, settings)
    if settings.normaliser is not None:
        transform = transform or fit_to_images(settings.normaliser, [image])
        patches, overviews = patches.normalised(transform), overviews.normalised(transform)
    to_image = 1 / (settings.scale * enlargement)
    return CutImage(patches.scaled(to_image), overviews.scaled(to_image), key)


def _enlargement(image: Pixels, name: str, settings: CutSettings) -> float:
    """Return the factor by which to enlarge an image smaller than a patch; 0 if it is to be left out."""
    (height, width), (h, w) = image.shape[:2], settings.size
    if height >= h and width >= w:
        return 1.0
    if settings.small_images == "error":
        raise SourceError(
            f"The image {name} has {width} x {height} px, less than a patch of {w} x {h}: choose a smaller patch_size, "
            "or set small_images to 'skip', 'resize' or 'pad'."
        )
    return {"skip": 0.0, "resize": max(h / height, w / width), "pad": 1.0}[settings.small_images]


def _scaled(image: Pixels, factor: float, min_size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of an image after scaling, at least `min_size`."""
    return max(min_size[0], round(image.shape[0] * factor)), max(min_size[1], round(image.shape[1] * factor))


def _tiles(image: Pixels, size: tuple[int, int], strides: tuple[int, int], min_tissue: float) -> Tiles:
    """Return the tiles of an image on a centred grid, without those that are glass; a smaller image is padded.

    An image of exactly one tile is taken as it is.
    """
    canvas, top, left = padded(image, size)
    (h, w), (down, across) = size, strides
    rows, columns = grid(canvas.shape[0], h, down), grid(canvas.shape[1], w, across)
    pixels = np.stack([canvas[row : row + h, column : column + w] for row in rows for column in columns])
    y, x = (corners.ravel() for corners in np.meshgrid(rows - top, columns - left, indexing="ij"))
    if len(pixels) == 1 and canvas is image:
        return Tiles(pixels, x, y)
    kept = tissue_share(pixels) >= min_tissue
    return Tiles(pixels[kept], x[kept], y[kept], int((~kept).sum()))


def _overviews(image: Pixels, patches: Tiles, settings: CutSettings) -> Tiles:
    """Return the overviews of an image: of all of it if it is larger than one patch, or of each of its parts."""
    if not any(settings.overview_footprint):
        if len(patches.pixels) + patches.empty <= 1:
            return Tiles.none(settings.overview_px)
        corner = np.zeros(1, np.int64)
        return Tiles(letterboxed(image, settings.overview_px)[None], corner, corner)
    height, width = settings.overview_footprint
    strides = height - settings.overview_overlap, width - settings.overview_overlap
    parts = _tiles(image, settings.overview_footprint, strides, settings.min_tissue)
    if not len(parts.pixels):
        return Tiles.none(settings.overview_px)
    return replace(parts, pixels=np.stack([resize(part, settings.overview_px) for part in parts.pixels]))
