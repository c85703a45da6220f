from dataclasses import dataclass

import pytest

from histoforge.core.errors import SettingsError
from histoforge.core.registry import Registry


@dataclass(frozen=True)
class Toy:
    name: str


def test_entries_keep_the_order_of_their_registration() -> None:
    registry = Registry("toy", [Toy("ball"), Toy("abacus")])
    kite = registry.register(Toy("kite"))
    assert list(registry) == ["ball", "abacus", "kite"]
    assert registry["kite"] is kite
    assert len(registry) == 3


def test_a_name_is_registered_once() -> None:
    registry = Registry("toy", [Toy("ball")])
    with pytest.raises(ValueError, match="there is already a toy 'ball'"):
        registry.register(Toy("ball"))


def test_an_unknown_name_gets_a_suggestion_and_the_choices() -> None:
    registry = Registry("toy", [Toy("ball"), Toy("kite")])
    with pytest.raises(SettingsError, match=r"no toy 'bal' \(did you mean 'ball'\?\): choose one of ball, kite\."):
        registry.named("bal")
