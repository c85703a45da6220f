"""Draw any rectangle of a phantom slide by the physics of absorption."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely import Polygon

from histoforge.core.seeds import numpy_rng
from histoforge.phantom.layout import PEN_INKS, Layout, Nuclei
from histoforge.phantom.texture import Field, Patterns, make_patterns, nuclei_stamps, window

COARSE = 8
STROMA = Nuclei(spacing=19, radius=2.0, spread=0.25, elongation=3.0, irregularity=0.05, darkness=1.0)
PEN_WIDTH_UM = 45.0


class SlideDrawer:
    """Draw rectangles of one slide; neighbouring rectangles fit together.

    Attributes:
        layout: layout of the slide.
    """

    def __init__(self, layout: Layout, patterns: Patterns | None = None) -> None:
        self.layout = layout
        self._patterns = patterns or make_patterns(0, layout.mpp)
        rng = numpy_rng(layout.seed, "offset")
        self._offset = tuple(int(value) for value in rng.integers(0, 1024, 2))
        self._groups = [self._stroma_nuclei()] + [
            self._nuclei(region.polygon, region.nuclei, region.seed) for region in layout.regions
        ]

    def draw(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Draw the pixels of a rectangle, uint8 [height, width, 3].

        Args:
            x, y: its upper left corner, px; multiples of 8.
            width, height: its size, px.
        """
        layout, box = self.layout, (x, y, width, height)
        patterns = {name: self._window(field, *box) for name, field in vars(self._patterns).items()}
        tissue = self._soft(self._raster([layout.tissue], *box), 0.10 * patterns["grain"] + 0.12 * patterns["nest"])
        tissue *= np.clip((0.02 * patterns["grain"] - patterns["crack"] - 0.08) * 9 + 0.5, 0, 1)
        cells = self._soft(self._raster([region.polygon for region in layout.regions], *box), 0.35 * patterns["nest"])
        stroma = 0.50 + 0.24 * patterns["fibre"] + 0.05 * patterns["grain"]
        cytoplasm = 0.40 + 0.05 * patterns["grain"] + 0.05 * patterns["nest"]
        eosin = tissue * np.clip(stroma + cells * (cytoplasm - stroma), 0.05, None)
        haematoxylin = self._stamped(*box)
        haematoxylin *= tissue
        np.maximum(haematoxylin, tissue * (0.03 + 0.10 * cells), out=haematoxylin)
        eosin *= 1 - 0.55 * np.clip(haematoxylin, 0, 1)
        return self._absorbed(haematoxylin, eosin, patterns["camera"], self._pen(*box))

    def _window(self, field: Field, x: int, y: int, width: int, height: int) -> Field:
        return window(field, x + self._offset[0], y + self._offset[1], width, height)

    def _absorbed(
        self, haematoxylin: Field, eosin: Field, camera: Field, pen: tuple[Field, Sequence[float]] | None
    ) -> NDArray[np.uint8]:
        """Return the light that passes the stains by the Beer-Lambert law (Ruifrok and Johnston 2001, equation 1)."""
        stain = self.layout.stain
        amounts = haematoxylin * (1.25 * stain.strengths[0]), eosin * (0.95 * stain.strengths[1])
        image = np.empty((*haematoxylin.shape, 3), np.uint8)
        for channel in range(3):
            density = amounts[0] * stain.vectors[0, channel] + amounts[1] * stain.vectors[1, channel]
            light = np.exp(-density) * stain.glass[channel] + 1.3 * camera
            if pen is not None:
                light *= 1 - pen[0] * (1 - pen[1][channel])
            image[..., channel] = np.clip(light + 0.5, 0, 255)
        return image

    def _raster(self, polygons: Sequence[Polygon], x: int, y: int, width: int, height: int) -> Field:
        """Rasterise polygons as a smooth field, about 0 outside and 1 inside, float32 [height, width]."""
        columns, rows = width // COARSE + 9, height // COARSE + 9
        picture = Image.new("F", (columns, rows))
        pen = ImageDraw.Draw(picture)
        for polygon in polygons:
            corners = (shapely.get_coordinates(polygon.exterior) - (x, y)) / COARSE + 4
            pen.polygon([tuple(corner) for corner in corners], fill=1.0)
        small = np.asarray(picture)
        for axis in (0, 1):
            small = (np.roll(small, -1, axis) + small + np.roll(small, 1, axis)) / np.float32(3)
        box = (4.0, 4.0, 4.0 + width / COARSE, 4.0 + height / COARSE)
        return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR, box))

    @staticmethod
    def _soft(inside: Field, roughness: Field) -> Field:
        """Turn a smooth edge into a sharp and ragged one, float32 in [0, 1]."""
        return np.clip((inside + roughness * (inside > 0.02) - 0.5) * 5 + 0.5, 0, 1)

    def _nuclei(self, polygon: Polygon, nuclei: Nuclei, seed: int) -> tuple[Field, NDArray[np.int64]]:
        """Return stamps of nuclei and their positions: int64 [n, 3] with x, y and the index of the stamp."""
        rng = numpy_rng(seed, "nuclei")
        stamps = nuclei_stamps(rng, nuclei, self.layout.mpp)
        step = nuclei.spacing / self.layout.mpp
        x0, y0, x1, y1 = polygon.bounds
        down, across = np.mgrid[y0 : y1 : step * 0.87, x0:x1:step]
        across[1::2] += step / 2
        centres = np.stack([across.ravel(), down.ravel()], 1) + rng.normal(0, 0.2 * step, (across.size, 2))
        crowd = self._at(self._patterns.nest, centres)
        kept = shapely.contains_xy(polygon, *centres.T) & (
            rng.random(len(centres)) < np.clip(0.75 + 0.6 * crowd, 0.05, 1)
        )
        chosen = rng.integers(0, len(stamps), (len(centres), 1))
        return stamps, np.hstack([centres.round().astype(np.int64), chosen])[kept]

    def _stroma_nuclei(self) -> tuple[Field, NDArray[np.int64]]:
        shapely.prepare(self.layout.tissue)
        return self._nuclei(self.layout.tissue, STROMA, self.layout.seed)

    def _at(self, field: Field, centres: NDArray[np.float64]) -> Field:
        across, down = (centres.astype(np.int64) + self._offset).T
        return field[down % field.shape[0], across % field.shape[1]]

    def _stamped(self, x: int, y: int, width: int, height: int) -> Field:
        """Return the haematoxylin of all nuclei that reach into a rectangle, float32 [height, width]."""
        margin = max(stamps.shape[1] for stamps, _ in self._groups)
        canvas = np.zeros((height + 2 * margin, width + 2 * margin), np.float32)
        for stamps, centres in self._groups:
            side, half = stamps.shape[1], stamps.shape[1] // 2
            column, row = centres[:, 0] - x + margin - half, centres[:, 1] - y + margin - half
            near = (column >= 0) & (row >= 0) & (column + side <= canvas.shape[1]) & (row + side <= canvas.shape[0])
            for left, top, stamp in zip(column[near], row[near], centres[near, 2], strict=True):
                under = canvas[top : top + side, left : left + side]
                np.maximum(under, stamps[stamp], out=under)
        return canvas[margin:-margin, margin:-margin]

    def _pen(self, x: int, y: int, width: int, height: int) -> tuple[Field, Sequence[float]] | None:
        """Return the ink coverage of a rectangle and the light that the ink lets through, or None without ink."""
        if self.layout.pen is None:
            return None
        line = shapely.LineString(self.layout.pen)
        stroke = shapely.buffer(line, PEN_WIDTH_UM / self.layout.mpp / 2)
        if not shapely.intersects(stroke, shapely.box(x, y, x + width, y + height)):
            return None
        return 0.92 * self._raster([stroke], x, y, width, height), PEN_INKS[self.layout.seed % len(PEN_INKS)]
