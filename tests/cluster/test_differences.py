"""`schedule diff` prints the changed fields and little else."""

import pytest

from histoforge.cluster.differences import differences

LONG = {f"train_generator.parameter_{number}": number for number in range(40)}
QUERY = "s3://pathology/" + "cohort/" * 30


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"rounds": 3.0}, {"rounds": 3}, []),
        ({"rounds": 3.0, "seed": 0.0}, {"rounds": 4, "seed": 0}, ["rounds: 3 → 4"]),
        (
            {"overrides": {**LONG, "x.epochs": 5.0}},
            {"overrides": {**LONG, "x.epochs": 6}},
            ["overrides.x.epochs: 5 → 6"],
        ),
        ({"a": 1, "b": 2}, {"b": 2, "c": [1.0]}, ["a: 1 → (unset)", "c: (unset) → [1]"]),
        ({"a": True}, {"a": 1}, ["a: True → 1"]),
        ({"a": ""}, {"a": None}, ["a: '' → None"]),
        ({"s": f"{QUERY}2025/x"}, {"s": f"{QUERY}2026/x"}, ["s: …hort/2025/x' → …hort/2026/x'"]),
        ({"s": "x" * 90}, {"s": "x" * 91}, ["s: …xxxxxxxx' → …xxxxxxxxx'"]),
        ([1, 2], [2, 1], [": [1, 2] → [2, 1]"]),
    ],
    ids=str,
)
def test_only_changes_are_listed(old, new, lines):
    assert differences(old, new) == lines


def test_two_long_texts_that_differ_at_both_ends_are_shown_whole():
    (line,) = differences("a" + "x" * 80 + "b", "c" + "x" * 80 + "d", "s")
    assert line == f"s: 'a{'x' * 80}b' → 'c{'x' * 80}d'"
