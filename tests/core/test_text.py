"""Counts, lists, dimensions and durations as text."""

import pytest

from histoforge.core.text import counted, dimensions, duration, join_words, quoted


@pytest.mark.parametrize(
    ("count", "plural", "text"),
    [
        (1, "patients", "1 patient"),
        (0, "patients", "0 patients"),
        (1, "patches", "1 patch"),
        (1200, "patches", "1,200 patches"),
        (1, "classes", "1 class"),
        (1, "slides", "1 slide"),
        (1, "images", "1 image"),
    ],
)
def test_a_count_of_one_has_a_singular_noun(count, plural, text):
    assert counted(count, plural) == text


def test_lists():
    assert [join_words(["a", "b", "c"][:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert join_words(quoted(["x", "y"]), "or") == "'x' or 'y'"


def test_dimensions_are_joined_by_an_x():
    assert dimensions((64, 96)) == "64x96"


def test_durations_are_rounded_to_what_a_reader_needs():
    texts = [duration(seconds) for seconds in (0.2, 40, 600, 3 * 3600 + 1210, 53 * 3600)]
    assert texts == ["1 s", "40 s", "10 min", "3 h 20 min", "2 days 5 h"]
