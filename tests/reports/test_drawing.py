"""Drawings become inline SVG that takes the page's colours and mixes with no other."""

import re

from histoforge.reports.layout.drawing import draw, inline_svg


def drawing(values: list[float], text: str = "mean 0.51482") -> str:
    with draw("x", "y") as one:
        one.axes.plot(values, marker="o", label=text)
        one.legend()
    return str(one.svg)


def test_nothing_points_outside():
    svg = drawing([1, 2, 3])
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_ids_of_two_drawings_do_not_meet_and_all_are_used():
    first, second = drawing([1, 2, 3]), drawing([3, 1, 2])
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first))
    assert {one or other for one, other in used} == ids[0]


def test_words_keep_their_figures_while_coordinates_are_shortened():
    svg = drawing([1, 2, 3])
    assert "mean 0.51482" in svg
    assert not re.search(r' d="[^"]*\d\.\d{3}', svg)


def test_ink_is_the_pages():
    svg = drawing([1, 2, 3])
    assert "currentColor" in svg
    assert "var(--line)" in svg
    assert "#010203" not in svg


def test_the_same_drawing_is_the_same_text():
    assert drawing([1, 2]) == drawing([1, 2])


def test_size_is_left_to_the_page():
    svg = inline_svg(
        '<?xml?><svg width="10pt" height="5pt" viewBox="0 0 10 5" xmlns="http://www.w3.org/2000/svg"></svg>'
    )
    assert svg == '<svg   viewBox="0 0 10 5"></svg>'
