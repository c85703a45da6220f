"""Drawings become inline SVG that uses the page's colours and does not interfere with other drawings."""

import re

from histoforge.reports.layout.drawing import draw, inline_svg


def svg_of(values: list[float], text: str = "mean 0.51482") -> str:
    with draw("x", "y") as drawing:
        drawing.axes.plot(values, marker="o", label=text)
        drawing.legend()
    return str(drawing.svg)


def test_svg_refers_to_nothing_outside():
    svg = svg_of([1, 2, 3])
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_ids_of_two_drawings_differ_and_all_are_used():
    first, second = svg_of([1, 2, 3]), svg_of([3, 1, 2])
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first))
    assert {reference or url for reference, url in used} == ids[0]


def test_texts_keep_their_digits_while_coordinates_are_shortened():
    svg = svg_of([1, 2, 3])
    assert "mean 0.51482" in svg
    assert not re.search(r' d="[^"]*\d\.\d{3}', svg)


def test_colours_are_those_of_the_page():
    svg = svg_of([1, 2, 3])
    assert "currentColor" in svg
    assert "var(--line)" in svg
    assert "#010203" not in svg


def test_the_same_drawing_is_the_same_text():
    assert svg_of([1, 2]) == svg_of([1, 2])


def test_size_is_left_to_the_page():
    svg = inline_svg(
        '<?xml?><svg width="10pt" height="5pt" viewBox="0 0 10 5" xmlns="http://www.w3.org/2000/svg"></svg>'
    )
    assert svg == '<svg   viewBox="0 0 10 5"></svg>'


def test_a_legend_that_is_too_wide_gets_fewer_columns_and_wrapped_labels():
    assert len(set(legend_positions("first", "second"))) == 2
    positions = legend_positions("first " + "word " * 5, "second " + "word " * 14)
    assert len(positions) == 3
    assert len(set(positions)) == 1


def legend_positions(*labels: str) -> list[str]:
    """Return the horizontal position of each line of a legend with at most two columns."""
    with draw() as drawing:
        for label in labels:
            drawing.axes.plot([1, 2], label=label)
        drawing.legend(columns=2)
    return re.findall(r'<text [^>]*font-size: 8.5px[^>]*?(?: x="|translate\()([\d.]+)', str(drawing.svg))
