"""Peak memory of the whole preprocess step on a sparse slide of 100,000 x 100,000 px.

    python benchmarks/sparse_memory.py
    python benchmarks/sparse_memory.py --size 20000 --patch 224
    python benchmarks/sparse_memory.py --levels 1             # no pyramid: tissue is searched on level 0

The slide is drawn within seconds: JPEG tiles, most of them the same piece of empty glass, and a few pieces of drawn
tissue with two annotated classes. The step runs in a separate process, whose peak (VmHWM of Linux) includes all
imports; the aim is less than 1 GiB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from histoforge.core.progress import say
from histoforge.core.seeds import numpy_rng
from histoforge.phantom.drawing import SlideDrawer
from histoforge.phantom.layout import plan_slide
from histoforge.steps import preprocess
from histoforge.steps.preprocess_config import PreprocessConfig

TILE_PX = 256
PIECE_PX = 4096
PIECES = 12
MPP = 0.5
AIM_MIB = 1024
CLASSES = ("benign", "tumour")


class SparseSlide:
    """A large slide of glass with a few positions that all show the same piece of drawn tissue.

    Attributes:
        size: width and height of level 0, px.
        positions: upper left corners of the pieces, level-0 px; multiples of a piece's size.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        cells = size // PIECE_PX
        chosen = numpy_rng(0, "places").choice(cells**2, min(PIECES, cells**2), replace=False)
        self.positions = {(int(cell) % cells * PIECE_PX, int(cell) // cells * PIECE_PX) for cell in chosen}
        layout = plan_slide(0, 0, 0, (PIECE_PX, PIECE_PX), MPP, CLASSES, pen=False)
        self._regions = layout.regions
        piece = SlideDrawer(layout).draw(0, 0, PIECE_PX, PIECE_PX)
        self._glass = piece[0, 0]
        self._pieces = [piece]
        while len(self._pieces[-1]) > 8:
            self._pieces.append(np.asarray(Image.fromarray(self._pieces[-1]).reduce(2)))

    def write(self, path: Path, levels: int) -> None:
        """Write the slide as a pyramid, and its regions beside it."""
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            for level in range(levels):
                side = self.size >> level
                writer.write(
                    self._encoded(level, side),
                    shape=(side, side, 3),
                    dtype=np.uint8,
                    tile=(TILE_PX, TILE_PX),
                    photometric="ycbcr",
                    subsampling=(2, 2),
                    compression="jpeg",
                    resolution=(1e4 / MPP,) * 2,
                    resolutionunit="CENTIMETER",
                    subfiletype=1 if level else 0,
                    metadata=None,
                )
        features = [
            {
                "type": "Feature",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[x + left, y + top] for x, y in region.polygon.exterior.coords]],
                },
                "properties": {"classification": {"name": region.class_name}},
            }
            for left, top in sorted(self.positions)
            for region in self._regions
        ]
        path.with_suffix(".geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    def _encoded(self, level: int, side: int) -> Iterator[bytes]:
        count = -(-side // TILE_PX)
        touched = {
            (column, row): (left, top)
            for left, top in self.positions
            for row in self._span(top >> level, level)
            for column in self._span(left >> level, level)
        }
        for row in range(count):
            for column in range(count):
                if (column, row) in touched:
                    yield self._jpeg(level, column, row)
                else:
                    yield self._empty()

    @staticmethod
    def _span(start: int, level: int) -> range:
        return range(start // TILE_PX, (start + max(1, PIECE_PX >> level) - 1) // TILE_PX + 1)

    @lru_cache(maxsize=1)  # noqa: B019 - one slide per process
    def _empty(self) -> bytes:
        return self._compressed(np.full((TILE_PX, TILE_PX, 3), self._glass, np.uint8))

    def _jpeg(self, level: int, column: int, row: int) -> bytes:
        tile = np.full((TILE_PX, TILE_PX, 3), self._glass, np.uint8)
        piece = self._pieces[min(level, len(self._pieces) - 1)]
        for left, top in self.positions:
            x, y = (left >> level) - column * TILE_PX, (top >> level) - row * TILE_PX
            x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + len(piece), TILE_PX), min(y + len(piece), TILE_PX)
            if x0 < x1 and y0 < y1:
                tile[y0:y1, x0:x1] = piece[y0 - y : y1 - y, x0 - x : x1 - x]
        return self._compressed(tile)

    @staticmethod
    def _compressed(tile: np.ndarray) -> bytes:
        return bytes(
            imagecodecs.jpeg8_encode(tile, level=85, colorspace="RGB", outcolorspace="YCBCR", subsampling="420")
        )


def measure(source: Path, patch: int) -> None:
    """Run the step in this process and print its peak memory as JSON."""
    config = PreprocessConfig(source=str(source), patch_size=str(patch), mpp=MPP, split_ratios="0:0:1")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=source.parent) as out:
        summary = preprocess.run(config, patches=Path(out) / "patches", overviews=Path(out) / "overviews")
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    patches = sum(sum(counts.values()) for counts in summary.counts.values())
    print(json.dumps({"peak": peak, "patches": patches, "seconds": time.perf_counter() - start}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="width and height of the slide, px (default 100000)")
    parser.add_argument("--levels", type=int, default=7, help="levels of the pyramid (default 7)")
    parser.add_argument("--patch", type=int, default=96, help="patch size, px (default 96)")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        measure(options.run, options.patch)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        SparseSlide(options.size).write(source / "sparse.tiff", options.levels)
        say(
            f"sparse_memory: {options.size} x {options.size} px, {(source / 'sparse.tiff').stat().st_size / 1e6:.0f} MB"
        )
        command = [sys.executable, __file__, "--run", str(source), "--patch", str(options.patch)]
        result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.splitlines()[-1])
    from timing import surroundings  # imported here because it imports torch, which the step does not need

    print(surroundings(["histoforge", "openslide-python", "tifffile"]))
    print(
        f"{options.size} x {options.size} px, {options.levels} levels: {result['patches']} patches in "
        f"{result['seconds']:.1f} s, peak {result['peak']:.0f} MiB (aim: below {AIM_MIB})"
    )


if __name__ == "__main__":
    main()
