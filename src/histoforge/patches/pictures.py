"""Pictures of patches: grids and attention overlays."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

GAP = 2
TILE = 96


def grid(images: NDArray[np.uint8], columns: int) -> Image.Image:
    """Arrange patches, uint8 [N, H, W, 3], in rows of `columns` on white, enlarging small ones by a whole factor."""
    factor = max(1, TILE // max(images.shape[1:3]))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    _, height, width, _ = images.shape
    rows = -(-len(images) // columns)
    canvas = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image
    return Image.fromarray(canvas)


def attention_overlay(
    images: NDArray[np.uint8], attention: NDArray[np.float32], opacity: float = 0.45
) -> NDArray[np.uint8]:
    """Overlay patches with warm colours where a network's attention is highest (as in Fig. 9 of Xue et al. 2021).

    Args:
        images: uint8 [N, H, W, 3].
        attention: weights of the positions of a smaller map, [N, h, w]; each map is stretched to its own range.
        opacity: opacity of the colours.

    Returns:
        uint8 [N, H, W, 3].
    """
    height, width = images.shape[1:3]
    low, high = attention.min(axis=(1, 2), keepdims=True), attention.max(axis=(1, 2), keepdims=True)
    heat = (attention - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    overlays = np.empty_like(images)
    for index, (image, weights) in enumerate(zip(images, heat, strict=True)):
        stretched = Image.fromarray(weights.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        colours = colormaps["jet"](np.clip(np.asarray(stretched), 0, 1))[..., :3] * 255
        overlays[index] = np.round((1 - opacity) * image + opacity * colours).astype(np.uint8)
    return overlays


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG, creating its folder if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
