"""Small pictures of slides for the report, with tissue, patches and regions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from PIL import Image, ImageDraw
from skimage import morphology

from histoforge.core.files import atomic_file
from histoforge.slides.annotations import Region
from histoforge.slides.scale import Scale
from histoforge.slides.tissue import Tissue

MAX_SIDE_PX = 1000
JPEG_QUALITY = 82
TISSUE_COLOUR = (20, 20, 20)
CLASS_COLOURS = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (150, 120, 0),
)
TINT = 0.18


def class_colour(label: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class in all pictures, from Okabe and Ito's palette for colour-blind readers."""
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def draw_picture(tissue: Tissue, plan: pd.DataFrame, scale: Scale, regions: Sequence[Region] = ()) -> Image.Image:
    """Draw a slide with its tissue outlined in black, its patches tinted and framed, and its regions outlined by class.

    Args:
        tissue: the tissue mask and the low-power picture.
        plan: patches with `x`, `y` (level-0 px) and `label`.
        scale: the scale of the patches.
        regions: annotated regions.

    Returns:
        An RGB image of at most 1000 px.
    """
    height, width = tissue.image.shape[:2]
    shrink = min(1.0, MAX_SIDE_PX / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    picture = Image.fromarray(tissue.image).resize(size, Image.Resampling.BOX)
    per_px = np.array([tissue.downsample[0] * width / size[0], tissue.downsample[1] * height / size[1]])
    picture = _with_patches(picture, plan, scale, np.asarray(tissue.origin), per_px)
    picture = _with_outline(picture, tissue)
    pen = ImageDraw.Draw(picture)
    for region in regions:
        for polygon in shapely.get_parts(region.polygon):
            for ring in (polygon.exterior, *polygon.interiors):
                corners = (shapely.get_coordinates(ring) - tissue.origin) / per_px
                pen.line([tuple(corner) for corner in corners], fill=class_colour(region.label), width=3)
    return picture


def write_picture(
    path: Path, tissue: Tissue, plan: pd.DataFrame, scale: Scale, regions: Sequence[Region] = ()
) -> tuple[int, int]:
    """Write the picture from `draw_picture` as a JPEG.

    Returns:
        The width and height of the picture, px.

    Raises:
        StorageError: the disk is full or `path` cannot be written.
    """
    picture = draw_picture(tissue, plan, scale, regions)
    with atomic_file(path) as temporary:
        picture.save(temporary, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return picture.size


def _with_patches(
    picture: Image.Image, plan: pd.DataFrame, scale: Scale, origin: np.ndarray, per_px: np.ndarray
) -> Image.Image:
    """Tint the patches, and frame them if they are large enough to be visible between the lines."""
    tinted = picture.copy()
    pen, lines = ImageDraw.Draw(tinted), ImageDraw.Draw(picture)
    corners = (plan[["x", "y"]].to_numpy() - origin) / per_px
    extent = np.array(scale.footprint[::-1]) / per_px
    boxes = [(left, top, left + extent[0] - 1, top + extent[1] - 1) for left, top in corners if min(extent) >= 1] or [
        (left, top, left, top) for left, top in corners
    ]
    colours = [class_colour(label) for label in plan["label"]]
    for box, colour in zip(boxes, colours, strict=True):
        pen.rectangle(box, fill=colour)
    picture = Image.blend(picture, tinted, TINT)
    lines = ImageDraw.Draw(picture)
    if min(extent) >= 5:
        for box, colour in zip(boxes, colours, strict=True):
            lines.rectangle(box, outline=colour)
    return picture


def _with_outline(picture: Image.Image, tissue: Tissue) -> Image.Image:
    mask = np.asarray(Image.fromarray(tissue.mask).resize(picture.size, Image.Resampling.NEAREST))
    pixels = np.array(picture)
    pixels[mask & ~morphology.erosion(mask, morphology.disk(1))] = TISSUE_COLOUR
    return Image.fromarray(pixels)
