"""The pixels of a patch set may be in a folder or bucket of their own, and a set may be opened in a bucket."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from s3_server import S3Server, serve_s3, use
from test_patchset import flip_a_byte, write

from histoforge.core.errors import PatchSetError, StorageError
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches
from histoforge.storage import open_location

SIZE = 16


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serve_s3(tmp_path_factory.mktemp("s3") / "buckets") as server:
        for name in ("sets", "pixels"):
            server.bucket(name)
        yield server


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Chunks of five patches, and windows of ten."""
    monkeypatch.setattr("histoforge.patches.chunks.CHUNK_BYTES", 5 * 3 * SIZE**2)
    monkeypatch.setattr("histoforge.patches.device.WINDOW_BYTES", 10 * 3 * SIZE**2)


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path, server, monkeypatch):
    """A location for pixels."""
    use(monkeypatch, server.endpoint)
    return str(tmp_path / "store") if request.param == "folder" else f"s3://pixels/{tmp_path.name}"


def write_outside(path: Path, images, store: str, **finish) -> PatchSet:
    with PatchSetWriter.create(path, ["normal", "tumour"], (SIZE, SIZE), 0.5, images_location=store) as writer:
        labels, patients = [row % 2 for row in range(12)], [f"p{row // 4}" for row in range(12)]
        writer.add(images, label=labels, patient=patients)
        writer.finish({"step": "test"}, **finish)
    return PatchSet.open(path)


def stored(store: str) -> dict[str, bytes]:
    location = open_location(store)
    return {entry.name: location.read(entry.name)[0] for entry in location.entries()}


def test_pixels_outside_a_set_are_those_inside(tmp_path, store):
    images = write(tmp_path / "inside", SIZE)
    patches = write_outside(tmp_path / "outside", images, store)
    assert sorted(file.name for file in (tmp_path / "outside").rglob("*")) == ["index.parquet", "patchset.json"]
    np.testing.assert_array_equal(patches.images(), images)
    patches.verify()
    assert patches.digest == PatchSet.open(tmp_path / "inside").digest
    files = stored(store)
    assert len(files) == 3
    assert {hashlib.sha256(content).hexdigest() + ".npy" for content in files.values()} == set(files)


def test_nothing_at_the_location_is_replaced_or_deleted(tmp_path, store):
    images = write(tmp_path / "inside", SIZE)
    write_outside(tmp_path / "set", images, store)
    before = stored(store)
    keep = np.arange(12) != 3
    smaller = write_outside(tmp_path / "set", images, store, keep=keep)
    np.testing.assert_array_equal(smaller.images(), images[keep])
    assert before.items() <= stored(store).items()
    name = sorted(before)[0]
    open_location(store).write(name, b"something else")
    with pytest.raises(StorageError, match=rf"{name} is damaged \(its SHA-256 is not its name\): move it away"):
        write_outside(tmp_path / "again", images, store)
    assert stored(store)[name] == b"something else"


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_chunk_that_is_missing_or_changed_there_is_named(tmp_path, store, damage):
    patches = write_outside(tmp_path / "set", write(tmp_path / "inside", SIZE), store)
    name = patches.info.files["images/00001.npy"] + ".npy"
    location = open_location(store)
    if damage == "missing":
        location.delete(name)
    else:
        location.write(name, location.read(name)[0][:-1])
    patches.images(np.arange(5))
    sentence = f"There is no file {location}/{name}" if damage == "missing" else f"{location}/{name} is damaged"
    with pytest.raises(PatchSetError, match=sentence):
        patches.images(np.array([7]))


def test_a_location_that_cannot_be_written_stops_before_the_first_patch(tmp_path, server, monkeypatch):
    use(monkeypatch, server.endpoint)
    with pytest.raises(StorageError, match="s3://absent"):
        write_outside(tmp_path / "set", write(tmp_path / "inside", SIZE), "s3://absent/pixels")
    assert not (tmp_path / "set").exists()


def test_a_description_names_no_key(tmp_path, server, monkeypatch):
    use(monkeypatch, server.endpoint)
    write_outside(tmp_path / "set", write(tmp_path / "inside", SIZE), "s3://pixels/keys")
    info = json.loads((tmp_path / "set" / "patchset.json").read_text())
    assert info["images_location"] == "s3://pixels/keys"
    assert "tester" not in json.dumps(info)


@pytest.fixture
def in_bucket(tmp_path, server, monkeypatch):
    """A patch set in a bucket, as text and as location, and its pixels."""
    use(monkeypatch, server.endpoint)
    images = write(tmp_path / "set", SIZE)
    text = f"s3://sets/{tmp_path.name}"
    location = open_location(text)
    location.put_tree(tmp_path / "set")
    return text, location, images


def test_a_set_in_a_bucket_is_opened_without_its_pixels(in_bucket):
    text, location, images = in_bucket
    location.delete("images/00002.npy")
    patches = PatchSet.open(text)
    assert len(patches) == 12
    np.testing.assert_array_equal(patches.images(np.array([9, 0, 4])), images[[9, 0, 4]])
    with pytest.raises(PatchSetError, match=f"There is no file {text}/images/00002.npy"):
        patches.images(np.array([11]))


@pytest.mark.parametrize("kept", ["sets", "pixels"])
def test_a_chunk_in_a_bucket_is_hashed_once_when_it_is_read(in_bucket, tmp_path, monkeypatch, kept):
    text, _, images = in_bucket
    outside = write_outside(tmp_path / "outside", images, f"s3://pixels/{tmp_path.name}")
    patches = PatchSet.open(text) if kept == "sets" else outside
    hashed: list[int] = []
    for name in ("new", "sha256"):
        monkeypatch.setattr(hashlib, name, counting(getattr(hashlib, name), hashed))
    patches.images(np.arange(5))
    assert [size for size in hashed if size > images[:5].nbytes] == [images[:5].nbytes + 128], "with numpy's header"


def counting(function, hashed: list[int]):
    """Note the size of what is hashed."""

    def hash_and_count(*arguments, **named):
        hashed.extend(len(content) for content in arguments if isinstance(content, bytes))
        return function(*arguments, **named)

    return hash_and_count


@pytest.mark.parametrize("name", ["images/00000.npy", "index.parquet", "patchset.json"])
def test_damage_in_a_bucket_is_named(in_bucket, tmp_path, name):
    text, location, _ = in_bucket
    flip_a_byte(tmp_path / "set" / name)
    location.put(tmp_path / "set" / name, name)
    with pytest.raises(PatchSetError, match=f"{text}/{name} (is damaged|was changed)"):
        PatchSet.open(text).images()


def test_a_bucket_without_a_set_is_said(server, monkeypatch):
    use(monkeypatch, server.endpoint)
    with pytest.raises(PatchSetError, match="s3://sets/nothing is not a patch set"):
        PatchSet.open("s3://sets/nothing")


def test_training_reads_a_set_in_a_bucket_like_one_in_memory(in_bucket, tmp_path, monkeypatch):
    loaded = DevicePatches.load(PatchSet.open(tmp_path / "set"), "cpu")
    monkeypatch.setenv("HISTOFORGE_PATCH_MEMORY", "0")
    stream = DevicePatches.load(PatchSet.open(in_bucket[0]), "cpu")
    orders = [data.order(torch.Generator().manual_seed(0)) for data in (loaded, stream)]
    for rows in orders[0].split(4):
        assert torch.equal(stream.batch(rows).images, loaded.batch(rows).images)
    assert torch.equal(*orders)
