"""Annotations with hostile coordinates and outlines: one sentence, in bounded time and memory."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, Polygon

from histoforge.core.errors import SlideError
from histoforge.slides.annotation_formats import read_shapes
from histoforge.slides.outline_repair import MAX_CROSSINGS, count_crossings, repair_outline

SQUARE = [[0, 0], [900, 0], [900, 900], [0, 900], [0, 0]]


def geojson(coordinates: object) -> str:
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": coordinates}}
    return json.dumps([{**feature, "properties": {"classification": {"name": "tumour"}}}])


def imagescope(corners: str, kind: str = "0") -> str:
    return (
        '<Annotations><Annotation Name="tumour"><Regions>'
        f'<Region Type="{kind}"><Vertices>{corners}</Vertices></Region></Regions></Annotation></Annotations>'
    )


def asap(corners: str) -> str:
    return (
        '<ASAP_Annotations><Annotations><Annotation Type="Polygon" PartOfGroup="tumour"><Coordinates>'
        f"{corners}</Coordinates></Annotation></Annotations></ASAP_Annotations>"
    )


HOSTILE = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000, "1e300"]


@pytest.mark.parametrize("number", HOSTILE, ids=lambda text: text[:9])
@pytest.mark.parametrize("hole", [False, True], ids=["outline", "hole"])
def test_invalid_coordinates_are_reported_in_one_sentence(tmp_path: Path, number: str, hole: bool) -> None:
    ring = [[0, 0], [900, 0], ["HERE", 900], [0, 900], [0, 0]]
    text = geojson([SQUARE, ring] if hole else [ring]).replace('"HERE"', number)
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(SlideError, match=r"^The annotation .*a\.geojson cannot be read"):
        read_shapes(tmp_path / "a.geojson")


@pytest.mark.parametrize("number", HOSTILE, ids=lambda text: text[:9])
@pytest.mark.parametrize("kind", ["0", "1", "2", "asap"])
def test_invalid_coordinates_in_xml_are_reported_in_one_sentence(tmp_path: Path, number: str, kind: str) -> None:
    name = "Coordinate" if kind == "asap" else "Vertex"
    points = [("0", "0"), (number, "900")] if kind in ("1", "2") else [("0", "0"), ("900", "0"), (number, "900")]
    corners = "".join(f'<{name} X="{x}" Y="{y}"/>' for x, y in points)
    (tmp_path / "a.xml").write_text(asap(corners) if kind == "asap" else imagescope(corners, kind))
    with pytest.raises(SlideError, match=r"^The annotation .*a\.xml cannot be read"):
        read_shapes(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe[]",
        b"[" * 100_000,
        b'{"features": ' * 5000,
        geojson([[[0, 0], [1]]]).encode(),
        geojson([[["a", "b"]] * 5]).encode(),
        geojson(5).encode(),
        geojson([SQUARE, SQUARE[:2], 7]).encode(),
        b'[{"type": "Feature", "geometry": null}]',
        b"<a>" * 5000,
        b'<?xml version="1.0" encoding="no-such-code"?><Annotations/>x',
    ],
)
def test_a_damaged_file_is_reported_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.geojson").write_bytes(content)
    with pytest.raises(SlideError, match=r"^The annotation .*a\.geojson cannot be read") as error:
        read_shapes(tmp_path / "a.geojson")
    assert "\n" not in str(error.value)


def scribble(corners: int) -> Polygon:
    return Polygon(np.random.default_rng(0).uniform(0, 2000, (corners, 2)))


def test_a_scribble_of_200_corners_is_repaired_in_bounded_time() -> None:
    """GEOS's exact method takes minutes for it; the bound on processor time catches that, and no slow machine."""
    began = time.process_time()
    area = repair_outline(scribble(200))
    assert time.process_time() - began < 30
    assert area.is_valid
    assert 0.5 * 4e6 < area.area < 4e6


def test_a_scribble_of_thousands_of_corners_is_refused() -> None:
    with pytest.raises(ValueError, match=f"crosses itself in more than {MAX_CROSSINGS} points"):
        repair_outline(scribble(3000))


def test_crossings_are_counted() -> None:
    assert count_crossings(Polygon(SQUARE)) == 0
    assert count_crossings(Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])) == 1
    assert count_crossings(MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)])) == 2


def test_both_halves_of_a_bow_tie_are_kept() -> None:
    assert repair_outline(Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])).area == pytest.approx(2)
