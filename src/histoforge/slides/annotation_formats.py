"""Parsers of annotation files, which return outlines with a class name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from histoforge.core.documents import parse_json
from histoforge.core.errors import SlideError
from histoforge.slides.outline_repair import repair_outline, ring

QUPATH_NON_REGIONS = {"detection", "cell", "tile", "tma_core"}
RECTANGLE, ELLIPSE = "1", "2"
IMAGESCOPE_AREAS = {"0", RECTANGLE, ELLIPSE}
ASAP_AREAS = {"polygon", "spline", "rectangle"}
ELLIPSE_POINTS = 64
_DAMAGES = (
    ElementTree.ParseError,
    shapely.errors.ShapelyError,
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Shape:
    """An outline as it was drawn.

    Attributes:
        number: its position in the file, counted from 1.
        class_name: its class; empty if it has none.
        outline: its coordinates, level-0 px; may cross itself or be empty.
        relative_to_bounds: whether coordinates are relative to the corner of the scanned area instead of the slide.
    """

    number: int
    class_name: str
    outline: Polygon | MultiPolygon
    relative_to_bounds: bool = False


def read_shapes(path: Path) -> list[Shape]:
    """Read the outlines in a QuPath GeoJSON, Aperio ImageScope XML or ASAP XML file, detecting the format by content.

    Raises:
        SlideError: the file has another format or is damaged.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        if text.lstrip().startswith("<"):
            return list(_from_xml(ElementTree.fromstring(text)))
        return list(_from_geojson(parse_json(text)))
    except _DAMAGES as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise SlideError(
            f"The annotation {path} cannot be read ({reason}): "
            f"export it again as QuPath GeoJSON, ImageScope XML or ASAP XML."
        ) from error


def _from_geojson(value: Any) -> Iterator[Shape]:
    """Read a QuPath export: a FeatureCollection, a list of features, or one feature.

    QuPath's coordinates are relative to the corner of the scanned area if the slide's format states one.
    """
    features = value if isinstance(value, list) else value.get("features", [value])
    for number, feature in enumerate(features, 1):
        if feature["type"] != "Feature":
            raise ValueError(f"'{feature['type']}' instead of a Feature")
        properties = feature.get("properties") or {}
        geometry = feature["geometry"]
        kind = str(properties.get("objectType", properties.get("object_type", "annotation"))).lower()
        if kind in QUPATH_NON_REGIONS or geometry["type"] not in {"Polygon", "MultiPolygon"}:
            continue
        rings = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        polygons = [_polygon(polygon[0], polygon[1:]) for polygon in rings if polygon]
        outline = polygons[0] if len(polygons) == 1 else MultiPolygon([p for p in polygons if not p.is_empty])
        yield Shape(number, _class_of(properties), outline, relative_to_bounds=True)


def _class_of(properties: dict[str, Any]) -> str:
    classification = properties.get("classification") or {}
    if isinstance(classification, str):
        return classification
    names = classification.get("names") or []
    return str(classification.get("name") or ": ".join(names))


def _from_xml(root: ElementTree.Element) -> Iterator[Shape]:
    if root.tag == "ASAP_Annotations":
        return _from_asap(root)
    if root.tag == "Annotations":
        return _from_imagescope(root)
    raise ValueError(f"<{root.tag}> is neither ImageScope's <Annotations> nor ASAP's <ASAP_Annotations>")


def _from_imagescope(root: ElementTree.Element) -> Iterator[Shape]:
    """Read regions, whose class is the name of their layer or else their text; negative regions are holes."""
    number = 0
    for layer in root.iter("Annotation"):
        regions = [region for region in layer.iter("Region") if region.get("Type", "0") in IMAGESCOPE_AREAS]
        holes = [_imagescope_outline(region) for region in regions if region.get("NegativeROA") == "1"]
        for region in regions:
            if region.get("NegativeROA") == "1":
                continue
            number += 1
            outline = _imagescope_outline(region)
            if holes and outline.is_valid:
                outline = shapely.difference(outline, shapely.union_all([repair_outline(hole) for hole in holes]))
            yield Shape(number, (layer.get("Name") or region.get("Text") or "").strip(), outline)


def _imagescope_outline(region: ElementTree.Element) -> Polygon:
    points = ring([(vertex.attrib["X"], vertex.attrib["Y"]) for vertex in region.iter("Vertex")])
    if region.get("Type") in {RECTANGLE, ELLIPSE} and len(points) == 2:
        (x0, y0), (x1, y1) = points
        if region.get("Type") == RECTANGLE:
            return shapely.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        angle = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)
        across, down = (x0 + x1) / 2 + (x1 - x0) / 2 * np.cos(angle), (y0 + y1) / 2 + (y1 - y0) / 2 * np.sin(angle)
        return Polygon(np.stack([across, down], axis=1))
    return _polygon(points)


def _from_asap(root: ElementTree.Element) -> Iterator[Shape]:
    """Read annotations, whose class is their group; ASAP writes 'None' for no group."""
    for number, annotation in enumerate(root.iter("Annotation"), 1):
        if annotation.get("Type", "Polygon").lower() not in ASAP_AREAS:
            continue
        points = sorted(annotation.iter("Coordinate"), key=lambda point: float(point.get("Order", 0)))
        group = annotation.get("PartOfGroup", "")
        outline = _polygon([(point.attrib["X"], point.attrib["Y"]) for point in points])
        yield Shape(number, "" if group == "None" else group, outline)


def _polygon(outer: Any, holes: Any = ()) -> Polygon:
    """Return a polygon of the first two coordinates, empty if its outer ring has fewer than three corners."""
    corners = ring(outer)
    if len(np.unique(corners, axis=0)) < 3:
        return Polygon()
    return Polygon(corners, [ring(hole) for hole in holes if len(hole) > 3])
