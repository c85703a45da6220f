"""Artifacts whose classes or patch sizes differ are rejected."""

import pytest

from histoforge.core.errors import ModelError, PatchSetError
from histoforge.patches.matching import PatchFormat, check_same_format

FIRST = PatchFormat(["a", "b"], (64, 64))


@pytest.mark.parametrize(
    ("second", "difference"),
    [
        (PatchFormat(("b", "a"), (64, 64)), "the classes a, b, and the pool has b, a"),
        (PatchFormat(["a", "b"], (64, 96)), "patches of 64x64 px, and the pool has 64x96 px"),
    ],
)
def test_the_message_names_the_difference(second, difference):
    with pytest.raises(ModelError) as error:
        check_same_format("The model was trained on", FIRST, "the pool", second, "train it again")
    assert str(error.value) == f"The model was trained on {difference}: train it again."


def test_the_same_format_raises_no_error_whatever_its_types():
    check_same_format("The set has", FIRST, "the pool", PatchFormat(("a", "b"), [64, 64]), "", PatchSetError)
