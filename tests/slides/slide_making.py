"""Fixtures that make slides: plain images as tiled TIFF, and phantom slides. Loaded as a pytest plugin."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from histoforge.phantom import draw_slides

MakeSlide = Callable[..., Path]


@pytest.fixture
def make_slide(tmp_path: Path) -> MakeSlide:
    """Write an image, uint8 [h, w, 3], as a lossless pyramid whose levels average 2x2 px."""

    def make(image: NDArray[np.uint8], name: str = "a.tiff", mpp: float | None = 0.5, levels: int = 1) -> Path:
        path = tmp_path / name
        unit = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(path) as writer:
            for level in range(levels):
                kind = {"tile": (128, 128), "photometric": "rgb", "compression": "lzw", "metadata": None}
                writer.write(image, subfiletype=1 if level else 0, **kind, **unit)
                height, width = (side // 2 * 2 for side in image.shape[:2])
                quads = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).astype(float)
                image = quads.mean(axis=(1, 3)).round().astype(np.uint8)
        return path

    return make


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two drawn slides of 1024 px (the second with a pen mark) and one that is cut short."""
    folder = tmp_path_factory.mktemp("phantoms")
    draw_slides(folder, patients=2, size_px=1024, seed=5)
    return folder


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    """An image without two equal places, uint8 [600, 700, 3]."""
    return np.random.default_rng(0).integers(0, 256, (600, 700, 3), np.uint8)
