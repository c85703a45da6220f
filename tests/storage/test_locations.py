"""Tests for every kind of location: folders, and a bucket of a real S3 server."""

import os
from pathlib import Path

import pytest

from histoforge.core.errors import StorageError
from histoforge.storage import Location, digest_of_source, open_location

FILES = {
    "index.json": b"{}",
    "empty": b"",
    "slides/tumour 1 (copy) %41+&#?.svs": os.urandom(70_000),
    "slides/Gewebe äöü 组织.svs": os.urandom(10),
    "a/b/c/deep.bin": os.urandom(6 << 20),
}


@pytest.fixture(params=["folder", "file", "s3", "minio"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return open_location(str(tmp_path / "place"))
    if request.param == "file":
        return open_location(f"file://{tmp_path}/the%20place")
    bucket = request.getfixturevalue("bucket")
    return open_location(f"{request.param}://{bucket.name}/some where/über/")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "tree"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_tree_survives_a_round_trip(location: Location, tree: Path, tmp_path: Path) -> None:
    location.put_tree(tree, last="index.json")
    assert [(entry.name, entry.size) for entry in location.entries()] == sorted((n, len(c)) for n, c in FILES.items())
    location.get_tree(tmp_path / "back")
    assert contents(tmp_path / "back") == FILES


def test_a_single_file_is_replaced_downloaded_and_deleted(location: Location, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "deep" / "back"
    for content in (b"first", b"and second"):
        source.write_bytes(content)
        location.put(source, "folder/file name")
    location.get("folder/file name", back)
    assert back.read_bytes() == b"and second"
    with location.fetched("folder/file name", tmp_path / "scratch") as path:
        assert path.read_bytes() == b"and second"
    location.delete("folder/file name")
    location.delete("folder/file name")
    assert location.entries() == []
    assert contents(tmp_path / "scratch") == {}


def test_a_location_exists_if_it_has_a_file(location: Location, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    assert not location.exists()
    assert location.entries() == []
    location.child("run-1").put(tmp_path / "source", "file")
    assert location.exists()
    assert location.child("run-1").exists()
    assert not location.child("run").exists()
    location.child("run-1").delete("file")
    assert not location.child("run-1").exists()


def test_the_digest_of_a_source_changes_with_each_kind_of_change(location: Location, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one")
    location.put(source, "a")
    digests = [digest_of_source(location)]
    location.put(source, "b")
    digests.append(digest_of_source(location))
    source.write_bytes(b"two")
    location.put(source, "b")
    digests.append(digest_of_source(location))
    location.delete("a")
    digests.append(digest_of_source(location))
    assert len(set(digests)) == 4
    assert digest_of_source(location) == digests[-1]


def test_reading_an_empty_location_is_an_error(location: Location, tmp_path: Path) -> None:
    for read in (
        location.source_entries,
        lambda: digest_of_source(location),
        lambda: location.get_tree(tmp_path / "x"),
    ):
        with pytest.raises(StorageError, match=r"^There is nothing at .+: correct the location, or put files there\.$"):
            read()
    assert not (tmp_path / "x").exists()


def test_a_missing_file_is_named_and_leaves_nothing(location: Location, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"^There is no .*no such\.svs"):
        location.get("no such.svs", tmp_path / "target" / "x")
    with (
        pytest.raises(StorageError, match=r"^There is no .*no such\.svs"),
        location.fetched("no such.svs", tmp_path / "target"),
    ):
        pass
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../../up", "a//b", "./a", "nul\0"])
def test_a_name_cannot_leave_its_location(location: Location, tmp_path: Path, name: str) -> None:
    for call in (location.child, location.delete, lambda name: location.get(name, tmp_path / "x")):
        with pytest.raises(StorageError, match="cannot be the name of a file"):
            call(name)


def test_a_tree_that_fails_leaves_the_old_one(location: Location, tree: Path, tmp_path: Path) -> None:
    location.put_tree(tree)
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "version.json").write_bytes(b"old")
    (tmp_path / "source").write_bytes(b"x")
    entries = location.entries()
    location.delete("empty")
    location.entries = lambda: entries  # the file is deleted after the listing
    with pytest.raises(StorageError, match=r"There is no .*empty"):
        location.get_tree(tmp_path / "back")
    assert contents(tmp_path / "back") == {"version.json": b"old"}


def test_the_last_file_of_a_tree_waits_for_the_others(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "place" / "empty" / "in the way").mkdir(parents=True)
    location = open_location(str(tmp_path / "place"))
    with pytest.raises(StorageError, match="empty cannot be written"):
        location.put_tree(tree, last="index.json")
    assert not (tmp_path / "place" / "index.json").exists()


def test_an_empty_tree_is_refused(location: Location, tmp_path: Path) -> None:
    (tmp_path / "hollow" / "folder").mkdir(parents=True)
    with pytest.raises(StorageError, match="lacks any file to copy"):
        location.put_tree(tmp_path / "hollow")
