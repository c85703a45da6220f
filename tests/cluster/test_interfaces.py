"""Renaming or removing an input without a new major version is detected."""

import copy
import json
from pathlib import Path

import pytest
from histoforge_pipelines.compile import INTERFACES, ROOT, VERSION, _interfaces
from histoforge_pipelines.interfaces import breaks, major, recorded

from histoforge import __version__

KEPT = json.loads((ROOT / INTERFACES).read_text(encoding="utf-8"))
PATCHES = "components/preprocess"


def test_the_current_interfaces_break_no_recorded_one():
    assert _interfaces()["interfaces"].keys() >= KEPT["interfaces"].keys()
    assert __version__ == VERSION


def changed(change):
    new = copy.deepcopy(KEPT["interfaces"])
    change(new[PATCHES])
    return new


BREAKS = {
    "renamed": (lambda new: new["inputs"].update(where=new["inputs"].pop("source")), "the input 'source' is gone"),
    "removed": (lambda new: new["inputs"].pop("preset"), "the input 'preset' is gone"),
    "other type": (lambda new: new["inputs"].update(source="Integer"), "'source' was String and is Integer"),
    "no longer optional": (lambda new: new["inputs"].update(preset="String"), "'preset' was String? and is String"),
    "new and required": (lambda new: new["inputs"].update(more="String"), "the new input 'more' must be given"),
    "no output": (lambda new: new["outputs"].pop("patches"), "the output 'patches' is gone"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_named_and_refused_until_the_major_version_is_new(name):
    new = changed(BREAKS[name][0])
    assert any(BREAKS[name][1] in line for line in breaks(KEPT["interfaces"], new))
    with pytest.raises(ValueError, match="needs a new major version"):
        recorded(KEPT, new, "0.1.9")
    assert recorded(KEPT, new, "0.2.0") == {"version": "0.2.0", "interfaces": new}
    assert recorded({**KEPT, "version": "1.4.0"}, new, "2.0.0")["interfaces"] == new


def test_a_new_optional_input_is_recorded():
    new = changed(lambda new: new["inputs"].update(more="String?"))
    assert recorded(KEPT, new, VERSION)["interfaces"] == new
    assert [major(version) for version in ("0.3.1", "1.0.0", "2.3.1")] == ["0.3", "1", "2"]


def test_a_component_that_is_gone_is_a_break():
    new = {name: interface for name, interface in KEPT["interfaces"].items() if name != PATCHES}
    assert breaks(KEPT["interfaces"], new) == [f"{PATCHES} is gone"]


def test_the_file_lies_beside_the_components():
    assert Path(INTERFACES).parent == Path("components")
