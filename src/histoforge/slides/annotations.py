"""Annotated regions of a slide: QuPath GeoJSON, Aperio ImageScope XML and ASAP XML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import shapely
import shapely.affinity
from shapely import MultiPolygon, Polygon

from histoforge.core.errors import SlideError
from histoforge.core.settings import nearest
from histoforge.core.text import quoted
from histoforge.slides import annotation_formats
from histoforge.slides.outline_repair import repair_outline
from histoforge.slides.reading import Slide

EXTENSIONS = (".geojson", ".json", ".xml")
MIN_INSIDE = 0.5


@dataclass(frozen=True)
class Region:
    """An annotated area of a slide.

    Attributes:
        class_name: its class.
        label: index of the class in the list of classes.
        polygon: its outline, a valid polygon in level-0 px of the slide.
    """

    class_name: str
    label: int
    polygon: Polygon | MultiPolygon


@dataclass(frozen=True)
class Annotations:
    """The regions of one slide, and one sentence for each repair or omission."""

    regions: list[Region] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def annotated_classes(path: Path) -> list[str]:
    """Return the sorted class names in an annotation file.

    Raises:
        SlideError: the file cannot be read.
    """
    return sorted({shape.class_name for shape in annotation_formats.read_shapes(path) if shape.class_name})


def read_annotations(
    path: Path,
    slide: Slide,
    classes: Sequence[str],
    unknown: Literal["error", "ignore"] = "error",
    aliases: Mapping[str, str] | None = None,
) -> Annotations:
    """Read the regions of a slide.

    Args:
        path: a QuPath GeoJSON, Aperio ImageScope XML or ASAP XML file; the format is detected by content.
        slide: the slide to which the file should belong.
        classes: the classes to read.
        unknown: what to do with a region of another class.
        aliases: annotated names of other classes, mapped to these classes.

    Raises:
        SlideError: the file cannot be read, has no regions, belongs to another slide, or has an unknown class.
    """
    regions: list[Region] = []
    warnings: list[str] = []
    for shape in annotation_formats.read_shapes(path):
        name = (aliases or {}).get(shape.class_name, shape.class_name)
        region_name = f"{path}: region {shape.number} ('{name}')" if name else f"{path}: region {shape.number}"
        if name not in classes:
            if name and unknown == "error":
                raise SlideError(_unknown_class(path, name, classes))
            warnings.append(f"{region_name} is excluded: it has {'another' if name else 'no'} class.")
            continue
        offset = slide.bounds[:2] if shape.relative_to_bounds else (0, 0)
        try:
            polygon = shapely.affinity.translate(repair_outline(shape.outline), *offset)
        except (ValueError, shapely.errors.ShapelyError) as error:
            raise SlideError(f"{region_name} cannot be repaired ({error}): draw it again, or remove it.") from None
        if polygon.is_empty:
            warnings.append(f"{region_name} is excluded: it encloses no area.")
            continue
        if not shape.outline.is_valid:
            warnings.append(f"{region_name} crosses itself and was repaired: check its outline.")
        regions.append(Region(name, list(classes).index(name), polygon))
    if not regions:
        raise SlideError(
            f"The annotation {path} contains no region of {', '.join(quoted(classes))}: draw some, or remove the file."
        )
    return Annotations(_within(slide, regions, path), warnings)


def _within(slide: Slide, regions: list[Region], path: Path) -> list[Region]:
    """Clip the regions at the slide's edges.

    Raises:
        SlideError: a region, or most of the total area, is outside the slide.
    """
    edges = shapely.box(0, 0, *slide.size)
    clipped = [Region(r.class_name, r.label, shapely.intersection(r.polygon, edges)) for r in regions]
    inside, area = (sum(region.polygon.area for region in group) for group in (clipped, regions))
    if any(region.polygon.is_empty for region in clipped) or inside < MIN_INSIDE * area:
        left, top, right, bottom = shapely.total_bounds([region.polygon for region in regions]).round().astype(int)
        raise SlideError(
            f"The annotation {path} belongs to another slide: it reaches from ({left}, {top}) to ({right}, {bottom}) "
            f"but {slide.path.name} has {slide.size[0]} x {slide.size[1]} px, so rename it after its "
            "slide."
        )
    return clipped


def _unknown_class(path: Path, name: str, classes: Sequence[str]) -> str:
    return (
        f"The annotation {path} has a region of the unknown class '{name}'{nearest(name, classes)}: "
        f"the classes are {', '.join(quoted(classes))}, so rename it, or ignore unknown classes."
    )
