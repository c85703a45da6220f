"""Write phantom slides as pyramidal tiled TIFF, with regions as QuPath GeoJSON and slides.csv."""

import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from histoforge.core.errors import SettingsError
from histoforge.core.files import atomic_file
from histoforge.core.progress import Progress
from histoforge.phantom.drawing import SlideDrawer
from histoforge.phantom.layout import Layout, plan_slide
from histoforge.phantom.texture import make_patterns

Pixels = NDArray[np.uint8]

CLASSES = ("benign", "tumour")
TILE_PX = 256
BAND_PX = 512
CHUNK_PX = 2048
MIN_LEVEL_PX = 512
JPEG_QUALITY = 88
COLOURS = ([70, 160, 90], [200, 40, 50], [60, 90, 200], [230, 150, 30])
CORRUPT_NAME = "phantom-corrupt"


def draw_slides(
    out: Path,
    patients: int = 8,
    slides_per_patient: int = 1,
    size_px: int = 2048,
    mpp: float = 0.5,
    classes: Sequence[str] = CLASSES,
    seed: int = 0,
    corrupt: bool = True,
) -> list[Path]:
    """Draw slides into a folder, with a GeoJSON of regions for each and one `slides.csv` (slide, patient, label).

    Every slide has regions of every class, and its label is the class with the largest area. One slide has a pen mark.
    The same arguments always give the same pixels.

    Args:
        out: the folder, which is created if it does not exist.
        patients: number of patients; each has a different stain.
        slides_per_patient: number of slides of each patient.
        size_px: width and height of a slide.
        mpp: micrometres per pixel.
        classes: class names, from the most benign to the most malignant nuclei.
        seed: random seed.
        corrupt: whether to add a truncated slide, which must not open.

    Returns:
        The paths of the slides, the corrupt one last.

    Raises:
        SettingsError: the slides are too small for their resolution to contain regions.
        StorageError: the folder cannot be written, or the disk is full.
    """
    if size_px * mpp < 250 or size_px < 2 * TILE_PX:
        raise SettingsError(
            f"A phantom slide of {size_px} px at {mpp} um/px is too small to contain regions: "
            f"choose at least {max(2 * TILE_PX, round(250 / mpp))} px."
        )
    patterns = make_patterns(seed, mpp)
    paths, rows = [], []
    with Progress("phantom", patients * slides_per_patient, "slides") as progress:
        for patient in range(patients):
            for number in range(slides_per_patient):
                pen = patient == 1 % patients and number == 0
                layout = plan_slide(seed, patient, number, (size_px, size_px), mpp, classes, pen)
                path = Path(out) / f"phantom-p{patient + 1:02d}-s{number + 1}.tiff"
                write_slide(path, SlideDrawer(layout, patterns))
                write_geojson(path.with_suffix(".geojson"), layout, classes)
                paths.append(path)
                rows.append((path.stem, f"patient-{patient + 1:02d}", _largest_class(layout, classes)))
                progress.advance()
    if corrupt:
        paths.append(_write_truncated(paths[-1], Path(out) / f"{CORRUPT_NAME}.tiff"))
        rows.append((CORRUPT_NAME, f"patient-{patients + 1:02d}", classes[0]))
    _write_table(Path(out) / "slides.csv", rows)
    return paths


def write_slide(path: Path, drawer: SlideDrawer) -> None:
    """Write one slide as a pyramid of JPEG tiles, each level at half the resolution of the previous one."""
    width, height = drawer.layout.size
    levels = [(width, height)]
    while max(levels[-1]) > MIN_LEVEL_PX:
        levels.append((levels[-1][0] // 2, levels[-1][1] // 2))
    with (
        tempfile.TemporaryDirectory() as folder,
        atomic_file(path) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=width * height > 2**30) as writer,
    ):
        level = _scratch(folder, 1, levels)
        _write_level(writer, _drawn_bands(drawer, level), levels[0], drawer.layout.mpp, first=True)
        for number, size in enumerate(levels[1:], 1):
            finer, level = level, _scratch(folder, number + 1, levels)
            _write_level(writer, _stored_bands(finer, level), size, drawer.layout.mpp * 2**number)


def write_geojson(path: Path, layout: Layout, classes: Sequence[str]) -> None:
    """Write the regions of a slide in QuPath's export format."""
    features = [
        {
            "type": "Feature",
            "id": f"{region.seed:016x}",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[round(x, 1), round(y, 1)] for x, y in region.polygon.exterior.coords]],
            },
            "properties": {
                "objectType": "annotation",
                "classification": {
                    "name": region.class_name,
                    "color": COLOURS[list(classes).index(region.class_name) % len(COLOURS)],
                },
            },
        }
        for region in layout.regions
    ]
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def _largest_class(layout: Layout, classes: Sequence[str]) -> str:
    area = {name: sum(r.polygon.area for r in layout.regions if r.class_name == name) for name in classes}
    return max(area, key=lambda name: area[name])


def _scratch(folder: str, number: int, levels: list[tuple[int, int]]) -> Pixels | None:
    """Allocate disk space for a level, uint8 [height, width, 3], or return None after the last level."""
    if number == len(levels):
        return None
    width, height = levels[number]
    return np.memmap(f"{folder}/{number}", np.uint8, "w+", shape=(height, width, 3))


def _drawn_bands(drawer: SlideDrawer, coarser: Pixels | None) -> Iterator[Pixels]:
    width, height = drawer.layout.size
    for y in range(0, height, BAND_PX):
        rows = min(BAND_PX, height - y)
        chunks = [drawer.draw(x, y, min(CHUNK_PX, width - x), rows) for x in range(0, width, CHUNK_PX)]
        band = np.concatenate(chunks, axis=1)
        _shrink(band, y, coarser)
        yield band


def _stored_bands(level: Pixels | None, coarser: Pixels | None) -> Iterator[Pixels]:
    if level is None:
        return
    for y in range(0, len(level), BAND_PX):
        band = np.asarray(level[y : y + BAND_PX])
        _shrink(band, y, coarser)
        yield band


def _shrink(band: Pixels, y: int, coarser: Pixels | None) -> None:
    """Write a band, halved in size, to its position in the next level."""
    if coarser is not None:
        half = np.asarray(Image.fromarray(band).reduce(2))
        target = coarser[y // 2 : y // 2 + len(half)]
        target[:] = half[: len(target), : coarser.shape[1]]


def _write_level(
    writer: tifffile.TiffWriter, bands: Iterator[Pixels], size: tuple[int, int], mpp: float, first: bool = False
) -> None:
    writer.write(
        _tiles(bands),
        shape=(size[1], size[0], 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": JPEG_QUALITY},
        subsampling=(2, 2),
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
        subfiletype=0 if first else 1,
        metadata=None,
        maxworkers=1,
    )


def _tiles(bands: Iterator[Pixels]) -> Iterator[Pixels]:
    """Yield tiles from left to right and top to bottom, padded at the edges."""
    for band in bands:
        rows, columns = (-band.shape[axis] % TILE_PX for axis in (0, 1))
        padded = np.pad(band, ((0, rows), (0, columns), (0, 0)), mode="edge")
        for y in range(0, padded.shape[0], TILE_PX):
            for x in range(0, padded.shape[1], TILE_PX):
                yield np.ascontiguousarray(padded[y : y + TILE_PX, x : x + TILE_PX])


def _write_truncated(slide: Path, path: Path) -> Path:
    """Write the beginning of a slide, as an interrupted copy would leave it."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(slide.read_bytes()[: max(1000, slide.stat().st_size // 3)])
    return path


def _write_table(path: Path, rows: list[tuple[str, str, str]]) -> None:
    with atomic_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("slide", "patient", "label"))
        table.writerows(rows)
