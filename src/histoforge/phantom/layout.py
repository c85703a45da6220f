"""Layout of a phantom slide: tissue, regions with different nuclei, stain and pen marks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from histoforge.core.seeds import derive_seed, numpy_rng

HAEMATOXYLIN = (0.5626, 0.7201, 0.4062)
EOSIN = (0.2159, 0.8012, 0.5581)
PEN_INKS = ((0.1, 0.45, 0.2), (0.1, 0.2, 0.65))


@dataclass(frozen=True)
class Nuclei:
    """Mean appearance of the nuclei of one region; each nucleus varies around it.

    Attributes:
        spacing: distance between neighbours, um.
        radius: radius of a nucleus, um.
        spread: relative standard deviation of the radius.
        elongation: ratio of long axis to short axis.
        irregularity: relative depth of dents in the outline.
        darkness: amount of haematoxylin; 1.0 is typical.
    """

    spacing: float
    radius: float
    spread: float
    elongation: float
    irregularity: float
    darkness: float


@dataclass(frozen=True)
class PhantomRegion:
    """An area of a phantom slide with a class.

    Attributes:
        class_name: its class.
        polygon: its outline, level-0 px.
        nuclei: appearance of its nuclei.
        seed: seed of everything drawn in it.
    """

    class_name: str
    polygon: Polygon
    nuclei: Nuclei
    seed: int


@dataclass(frozen=True)
class Stain:
    """The stain of one patient's slides.

    Attributes:
        vectors: optical density of haematoxylin and eosin in red, green and blue, float [2, 3], rows of unit length.
        strengths: strengths of haematoxylin and eosin; 1.0 is typical.
        glass: colour of empty glass, RGB in [0, 255].
    """

    vectors: NDArray[np.float32]
    strengths: tuple[float, float]
    glass: tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """A phantom slide before it is drawn.

    Attributes:
        size: width and height, px.
        mpp: micrometres per pixel.
        tissue: outline of the tissue, level-0 px.
        regions: annotated regions inside the tissue.
        stain: the patient's stain.
        pen: points of a pen stroke, [n, 2] px, or None.
        seed: seed of everything drawn outside the regions.
    """

    size: tuple[int, int]
    mpp: float
    tissue: Polygon
    regions: tuple[PhantomRegion, ...]
    stain: Stain
    pen: NDArray[np.float64] | None
    seed: int


def nuclei_of_class(grade: float, rng: np.random.Generator) -> Nuclei:
    """Draw a region's mean nuclei for a grade, 0 (benign) to 1 (tumour), with scatter that makes classes overlap."""
    grades = np.clip(grade + rng.normal(0, 0.25, 6), -0.3, 1.3)
    return Nuclei(
        spacing=11.0 - 1.0 * grades[0],
        radius=2.8 + 0.6 * grades[1],
        spread=0.10 + 0.10 * max(grades[2], 0),
        elongation=1.25 + 0.20 * grades[3],
        irregularity=0.025 + 0.03 * max(grades[4], 0),
        darkness=1.0 + 0.12 * grades[5],
    )


def patient_stain(seed: int, patient: int) -> Stain:
    """Return the stain of a patient, which differs between patients."""
    rng = numpy_rng(seed, "stain", patient)
    vectors = np.array([HAEMATOXYLIN, EOSIN]) + rng.normal(0, 0.025, (2, 3))
    vectors = np.clip(vectors, 0.01, None)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    strengths = (float(rng.uniform(0.8, 1.2)), float(rng.uniform(0.8, 1.25)))
    red, green, blue = rng.uniform(238, 248) + rng.normal(0, 1.5, 3)
    return Stain(vectors.astype(np.float32), strengths, (red, green, blue))


def plan_slide(
    seed: int, patient: int, number: int, size: tuple[int, int], mpp: float, classes: Sequence[str], pen: bool
) -> Layout:
    """Lay out one slide; the same arguments always give the same slide.

    Args:
        patient: determines the stain and which class has the largest area.
        number: number of the slide among the patient's slides.
        size: width and height, px.
        classes: class names, starting with the most benign.
        pen: whether to draw a pen stroke beside the tissue.
    """
    rng = numpy_rng(seed, "layout", patient, number)
    tissue = _blob(rng, size)
    regions = []
    cells = _cells(rng, tissue, pieces=3 * len(classes))
    for index, cell in enumerate(cells):
        label = (
            patient % len(classes) if index % 3 == 2 else (index % 3 * len(classes) // 2 + index // 3) % len(classes)
        )
        grade = label / max(1, len(classes) - 1)
        outline = _annotator(cell, margin=12 / mpp)
        if not outline.is_empty:
            region_seed = derive_seed(seed, "region", patient, number, index)
            regions.append(PhantomRegion(classes[label], outline, nuclei_of_class(grade, rng), region_seed))
    stroke = _stroke(rng, size) if pen else None
    stain = patient_stain(seed, patient)
    return Layout(size, mpp, tissue, tuple(regions), stain, stroke, derive_seed(seed, "slide", patient, number))


def _blob(rng: np.random.Generator, size: tuple[int, int]) -> Polygon:
    """Return a wobbly outline that is surrounded by glass."""
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 9):
        radius += rng.normal(0, 0.16 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    radius *= 0.44 / radius.max()
    width, height = size
    return Polygon(np.stack([width * (0.5 + radius * np.cos(angle)), height * (0.5 + radius * np.sin(angle))], 1))


def _cells(rng: np.random.Generator, tissue: Polygon, pieces: int) -> list[Polygon]:
    """Cut the tissue into pieces of about equal size (Voronoi cells of spread-out points)."""
    x0, y0, x1, y1 = tissue.bounds
    points = rng.uniform((x0, y0), (x1, y1), (40 * pieces, 2))
    points = points[shapely.contains_xy(tissue, *points.T)]
    centres = points[:pieces].copy()
    for _ in range(4):
        nearest = np.argmin(np.linalg.norm(points[:, None] - centres[None], axis=2), axis=1)
        centres = np.stack([points[nearest == i].mean(0) if (nearest == i).any() else c for i, c in enumerate(centres)])
    diagram = shapely.voronoi_polygons(shapely.MultiPoint(centres), extend_to=tissue)
    cells = [shapely.intersection(cell, tissue) for cell in shapely.get_parts(diagram)]
    cells = [max(shapely.get_parts(cell), key=lambda polygon: polygon.area) for cell in cells if not cell.is_empty]
    return sorted(cells, key=lambda cell: (round(cell.centroid.x), round(cell.centroid.y)))


def _annotator(cell: Polygon, margin: float) -> Polygon:
    """Outline a piece as a person would: inside its edges, with round corners."""
    inner = shapely.buffer(shapely.buffer(cell, -2.5 * margin), 1.5 * margin)
    if inner.is_empty:
        return Polygon()
    largest = max(shapely.get_parts(inner), key=lambda polygon: polygon.area)
    return shapely.simplify(largest, margin / 15)


def _stroke(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a curved pen stroke near one corner."""
    along = np.linspace(0, 1, 60)
    bend = 0.02 * np.sin(2 * np.pi * along * rng.uniform(0.7, 1.5))
    x = 0.04 + 0.03 * along + bend
    y = 0.05 + 0.32 * along
    return np.stack([x * size[0], y * size[1]], axis=1)
