"""Regions from the three formats, and one-sentence errors for invalid files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from histoforge.core.errors import SlideError
from histoforge.slides import Slide, annotated_classes, open_slide, read_annotations
from histoforge.slides.reading import Box

pytest_plugins = ["slide_making"]
MakeSlide = Callable[..., Path]

CLASSES = ["benign", "tumour"]
SQUARE = [(100, 100), (300, 100), (300, 250), (100, 250)]
BOWTIE = [(100, 100), (300, 300), (300, 100), (100, 300)]


@pytest.fixture
def slide(make_slide: MakeSlide) -> Slide:
    return open_slide(make_slide(np.full((600, 700, 3), 200, np.uint8)))


def feature(points: Any, name: str | None = "tumour", kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    properties |= {"classification": {"name": name}} if name else {}
    rings = [[*points, points[0]]] if kind == "Polygon" and isinstance(points[0], tuple) else points
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": properties}


def qupath(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def imagescope(path: Path, name: str, *regions: str) -> Path:
    layer = f'<Annotation Name="{name}"><Regions>{"".join(regions)}</Regions></Annotation>'
    path.write_text(f'<Annotations MicronsPerPixel="0.5">{layer}</Annotations>')
    return path


def region(points: list[tuple[int, int]], **attributes: str) -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    text = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return f"<Region {text}><Vertices>{vertices}</Vertices></Region>"


def asap(path: Path, group: str, points: list[tuple[int, int]]) -> Path:
    corners = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in reversed([*enumerate(points)]))
    annotation = (
        f'<Annotation Name="1" Type="Polygon" PartOfGroup="{group}"><Coordinates>{corners}</Coordinates></Annotation>'
    )
    path.write_text(
        f"<?xml version='1.0'?><ASAP_Annotations><Annotations>{annotation}</Annotations></ASAP_Annotations>"
    )
    return path


def test_all_formats_give_the_same_regions(tmp_path: Path, slide: Slide) -> None:
    single = tmp_path / "single.geojson"
    single.write_text(json.dumps(feature(SQUARE)))
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps([feature(SQUARE)]))
    paths = [
        qupath(tmp_path / "a.geojson", feature(SQUARE)),
        single,
        bare,
        imagescope(tmp_path / "scope.xml", "tumour", region(SQUARE, Type="0")),
        imagescope(tmp_path / "text.xml", "", region(SQUARE, Text="tumour")),
        imagescope(tmp_path / "rectangle.xml", "tumour", region([SQUARE[0], SQUARE[2]], Type="1")),
        asap(tmp_path / "asap.xml", "tumour", SQUARE),
    ]
    for path in paths:
        annotations = read_annotations(path, slide, CLASSES)
        (only,) = annotations.regions
        assert (only.class_name, only.label, annotations.warnings) == ("tumour", 1, []), path
        assert shapely.equals(only.polygon, shapely.Polygon(SQUARE)), path
        assert annotated_classes(path) == ["tumour"]


def test_holes_are_excluded_from_a_region(tmp_path: Path, slide: Slide) -> None:
    hole = [(150, 150), (200, 150), (200, 200), (150, 200)]
    rings = [[*SQUARE, SQUARE[0]], [*hole, hole[0]]]
    scope = imagescope(tmp_path / "a.xml", "benign", region(SQUARE), region(hole, NegativeROA="1"))
    for path in (qupath(tmp_path / "a.geojson", feature(rings, "benign")), scope):
        (only,) = read_annotations(path, slide, CLASSES).regions
        assert only.polygon.area == 200 * 150 - 50 * 50


def test_an_ellipse_of_imagescope_has_its_area(tmp_path: Path, slide: Slide) -> None:
    path = imagescope(tmp_path / "a.xml", "benign", region([(100, 100), (300, 200)], Type="2"))
    (only,) = read_annotations(path, slide, CLASSES).regions
    assert only.polygon.area == pytest.approx(np.pi * 100 * 50, rel=0.01)


def test_several_polygons_in_one_feature_are_one_region(tmp_path: Path, slide: Slide) -> None:
    other = [(400, 400), (500, 400), (500, 500)]
    rings = [[[*SQUARE, SQUARE[0]]], [[*other, other[0]]]]
    (only,) = read_annotations(qupath(tmp_path / "a.json", feature(rings, kind="MultiPolygon")), slide, CLASSES).regions
    assert only.polygon.area == 200 * 150 + 5000


def test_qupath_coordinates_are_relative_to_the_scanned_area(tmp_path: Path, slide: Slide) -> None:
    slide.bounds = Box(40, 30, 600, 500)
    (moved,) = read_annotations(qupath(tmp_path / "a.json", feature(SQUARE)), slide, CLASSES).regions
    (kept,) = read_annotations(asap(tmp_path / "a.xml", "tumour", SQUARE), slide, CLASSES).regions
    assert moved.polygon.bounds == (140, 130, 340, 280)
    assert kept.polygon.bounds == (100, 100, 300, 250)


def test_a_region_that_crosses_itself_is_repaired_and_named(tmp_path: Path, slide: Slide) -> None:
    annotations = read_annotations(qupath(tmp_path / "a.json", feature(SQUARE), feature(BOWTIE)), slide, CLASSES)
    assert annotations.regions[1].polygon.is_valid
    assert annotations.regions[1].polygon.area == 2 * 100 * 200 / 2
    (warning,) = annotations.warnings
    assert "a.json: region 2 ('tumour') crosses itself and was repaired" in warning


def test_regions_without_class_or_area_and_cells_are_excluded(tmp_path: Path, slide: Slide) -> None:
    line = [(10, 10), (50, 50), (10, 10)]
    cell = feature(SQUARE, objectType="detection")
    path = qupath(tmp_path / "a.json", feature(SQUARE), feature(SQUARE, None), feature(line), cell)
    annotations = read_annotations(path, slide, CLASSES)
    assert len(annotations.regions) == 1
    assert [warning.split(": ")[1][:8] for warning in annotations.warnings] == ["region 2", "region 3"]


def test_an_annotation_of_another_slide_is_refused(tmp_path: Path, slide: Slide) -> None:
    far = [(x + 5000, y + 5000) for x, y in SQUARE]
    for features in ([feature(far)], [feature(SQUARE), feature(far)]):
        with pytest.raises(SlideError, match=r"a\.json belongs to another slide.*700 x 600 px"):
            read_annotations(qupath(tmp_path / "a.json", *features), slide, CLASSES)


def test_a_region_beyond_the_edge_is_clipped(tmp_path: Path, slide: Slide) -> None:
    over = [(500, 100), (750, 100), (750, 200), (500, 200)]
    (only,) = read_annotations(qupath(tmp_path / "a.json", feature(over)), slide, CLASSES).regions
    assert only.polygon.bounds == (500, 100, 700, 200)


def test_an_unknown_class_is_refused_or_ignored(tmp_path: Path, slide: Slide) -> None:
    path = qupath(tmp_path / "a.json", feature(SQUARE), feature(SQUARE, "tumor"))
    with pytest.raises(SlideError, match=r"unknown class 'tumor' \(did you mean 'tumour'\?\)"):
        read_annotations(path, slide, CLASSES)
    assert len(read_annotations(path, slide, CLASSES, unknown="ignore").regions) == 1
    assert len(read_annotations(path, slide, CLASSES, aliases={"tumor": "tumour"}).regions) == 2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", '{"type": "FeatureCollection", "features": []}', "contains no region of 'benign', 'tumour'"),
        ("a.json", "", "cannot be read"),
        ("a.json", '{"type": "FeatureCollection", "featur', "cannot be read"),
        ("a.json", '{"name": "something else"}', "cannot be read"),
        ("a.json", json.dumps([feature([(float("nan"), 1), (2, 2), (3, 1)])]), "cannot be read"),
        ("a.xml", "<Annotations><Annotation>", "cannot be read"),
        ("a.xml", "<svg></svg>", "cannot be read"),
        ("a.xml", "<Annotations></Annotations>", "contains no region"),
    ],
)
def test_an_empty_or_damaged_file_is_refused(
    tmp_path: Path, slide: Slide, name: str, content: str, sentence: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(SlideError, match=sentence):
        read_annotations(path, slide, CLASSES)
