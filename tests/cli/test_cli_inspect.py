"""`inspect` of damaged and foreign files, and of a patch set."""

import numpy as np
import pytest
from command_line import call

from histoforge.patches import PatchSetWriter


@pytest.fixture
def patches(tmp_path):
    path = tmp_path / "patches"
    with PatchSetWriter.create(path, ["benign", "tumour"], (8, 12), 0.5) as writer:
        for label in (0, 1):
            writer.add(np.full((3, 8, 12, 3), 100, np.uint8), label=label, patient=f"p{label}")
        writer.finish({"step": "test", "config": {"stain": "none"}}, split=["train"] * 6)
    return path


def test_a_patch_set_is_shown_by_split_class_and_patient(capsys, patches):
    text = call(capsys, "inspect", patches).out
    for phrase in ("patch set", "8x12 px", "0.5 um/px", "3 benign, 3 tumour, 2 patients", "settings.stain", "real"):
        assert phrase in text


def test_a_damaged_patch_set_is_not_shown(capsys, patches):
    pixels = bytearray((patches / "images" / "00000.npy").read_bytes())
    pixels[-1] ^= 1
    (patches / "images" / "00000.npy").write_bytes(pixels)
    ended = call(capsys, "inspect", patches)
    assert (ended.code, ended.out) == (2, "")
    assert "00000.npy" in ended.err


@pytest.mark.parametrize(("name", "text"), [("metrics.json", "[1]"), ("metrics.json", "{"), ("page.html", "<p>")])
def test_files_without_results_are_one_sentence(capsys, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    ended = call(capsys, "inspect", tmp_path / name)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "metrics.json" in ended.err


def test_a_foreign_folder_is_said(capsys, tmp_path):
    ended = call(capsys, "inspect", tmp_path)
    assert ended.code == 2
    assert str(tmp_path) in ended.err


def test_exports_and_pictures_are_shown(capsys, patches, tmp_path):
    call(capsys, "export", patches, "--out", tmp_path / "export", "--title", "Set 7")
    text = call(capsys, "inspect", tmp_path / "export").out
    for phrase in ("export of a patch set", "Set 7", "8, 12"):
        assert phrase in text
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "pictures.json").write_text('{"generator": "abc", "count": 5}')
    text = call(capsys, "inspect", tmp_path / "pictures").out
    assert "pictures of a generator" in text
    assert "abc" in text


def test_a_damaged_datasheet_is_one_sentence(capsys, tmp_path):
    (tmp_path / "datasheet.json").write_text('{"title": 3}')
    ended = call(capsys, "inspect", tmp_path)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "datasheet.json is damaged" in ended.err
