"""Documents that carry their schema version and a digest."""

import json
from pathlib import Path

import pytest

from histoforge.core.errors import ModelError
from histoforge.core.seals import file_below, read_sealed, sealed, write_sealed


def test_a_document_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = write_sealed(tmp_path / "a.json", {"epochs": [0.1, 2], "by": {10: "x", 9: "y"}, "at": (1, 2)}, 3)
    assert read_sealed(tmp_path / "a.json", 3, "make it again") == written
    assert written["schema_version"] == 3
    assert sealed(written, 3) == written


def test_every_changed_entry_is_noticed(tmp_path: Path) -> None:
    written = write_sealed(tmp_path / "a.json", {"epochs": [1, 2], "facts": {"fid": 1.5}, "name": "x"}, 1)
    changes = {"epochs": [1, 3], "facts": {"fid": 1.25}, "name": "y", "digest": "0" * 64, "schema_version": 0, "new": 1}
    for name, value in changes.items():
        (tmp_path / "a.json").write_text(json.dumps({**written, name: value}))
        with pytest.raises(ModelError, match=r"a\.json was changed after it was written .*: make it again\."):
            read_sealed(tmp_path / "a.json", 1, "make it again")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema_version": 2}', "newer than 1"),
        ('{"schema_version": "2"}', "schema_version is not a whole number"),
        ("[1]", "is not a JSON object"),
        ("{", "is damaged"),
    ],
)
def test_other_content_is_reported_in_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ModelError, match=reason):
        read_sealed(tmp_path / "a.json", 1, "make it again")


def test_a_document_of_an_earlier_version_is_read_with_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text('{"epochs": []}')
    for _ in range(2):
        assert read_sealed(tmp_path / "a.json", 1, "make it again") == {"epochs": []}
    warning = f"{tmp_path / 'a.json'} is of an earlier version of histoforge and has no digest"
    assert capsys.readouterr().err.count(warning) == 1


def test_a_document_names_only_files_below_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in (tmp_path / "secret.png", folder / "grid.png"):
        path.write_bytes(b"")
    assert file_below(folder, "grid.png") == folder / "grid.png"
    assert [file_below(folder, name) for name in ("../secret.png", str(tmp_path / "secret.png"), "no.png")] == [
        None
    ] * 3
