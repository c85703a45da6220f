"""Write phantom slides as pyramidal tiled TIFF, with regions as QuPath GeoJSON and slides.csv."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from histoforge.core.errors import SettingsError
from histoforge.core.files import atomic_file
from histoforge.core.progress import Progress
from histoforge.patches.images import Pixels
from histoforge.phantom.drawing import SlideDrawer
from histoforge.phantom.layout import Layout, plan_slide
from histoforge.phantom.texture import make_patterns
from histoforge.slides.pyramid import BAND_PX, TILE_PX, write_pyramid

CLASSES = ("benign", "tumour")
CHUNK_PX = 2048
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
    """Write one slide as a pyramid."""
    write_pyramid(path, drawer.layout.size, _drawn_bands(drawer), drawer.layout.mpp)


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


def _drawn_bands(drawer: SlideDrawer) -> Iterator[Pixels]:
    width, height = drawer.layout.size
    for y in range(0, height, BAND_PX):
        rows = min(BAND_PX, height - y)
        chunks = [drawer.draw(x, y, min(CHUNK_PX, width - x), rows) for x in range(0, width, CHUNK_PX)]
        yield np.concatenate(chunks, axis=1)


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
