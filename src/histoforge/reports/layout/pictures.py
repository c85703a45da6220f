"""Pictures embedded in the page: JPEG in base64, no larger than they are shown."""

import base64
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_PX = 112


def thumbnail(patch: NDArray[np.uint8], largest: int = THUMBNAIL_PX, quality: int = 80) -> str:
    """Return a patch as a data address.

    Args:
        patch: uint8 [H, W, 3].
        largest: longer side in the page, px; larger patches are scaled down to it.
        quality: JPEG quality, 1 to 95.
    """
    return _data_address(Image.fromarray(np.ascontiguousarray(patch)), largest, quality)


def picture(path: Path, largest: int = 900, quality: int = 72) -> tuple[str, tuple[int, int]]:
    """Return an image file as a data address, and its (width, height) in the page, px."""
    with Image.open(path) as file:
        image = file.convert("RGB")
        image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        return _data_address(image, largest, quality), image.size


def _data_address(image: Image.Image, largest: int, quality: int) -> str:
    image.thumbnail((largest, largest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
