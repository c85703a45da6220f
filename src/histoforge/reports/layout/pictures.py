"""Pictures embedded in the page: JPEG in base64, no larger than they are shown."""

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histoforge.reports.layout.blocks import Figure, Thumbnail

THUMBNAIL_PX = 112


def thumbnail(patch: NDArray[np.uint8], alt: str, text: str = "") -> Thumbnail:
    """Return a patch for a gallery.

    Args:
        patch: uint8 [H, W, 3]; scaled down if its longer side exceeds 112 px.
        alt: description for readers who cannot see it.
        text: the line below it.
    """
    image = Image.fromarray(np.ascontiguousarray(patch))
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return Thumbnail(_data_address(image, quality=80), alt, text)


def picture(path: Path, alt: str, caption: str, largest: int) -> Figure:
    """Return an image file as a figure whose longer side is at most `largest` px."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    return figure_of(image, alt, caption)


def figure_of(image: Image.Image, alt: str, caption: str) -> Figure:
    """Return an RGB image as a figure of its size."""
    return Figure(alt=alt, caption=caption, image=_data_address(image, quality=72), size=image.size)


def _data_address(image: Image.Image, quality: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
