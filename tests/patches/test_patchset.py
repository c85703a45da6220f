"""A patch set survives a round trip, and damage is detected."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from histoforge.core.errors import PatchSetError
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches, to_uint8, to_unit


def write(path, size=16, count=12, **finish):
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    with PatchSetWriter.create(path, ["normal", "tumour"], (size, size), mpp=0.5) as writer:
        for start in range(0, count, 5):
            rows = range(start, min(start + 5, count))
            writer.add(images[start : start + 5], label=[r % 2 for r in rows], patient=[f"p{r // 4}" for r in rows])
        writer.finish({"step": "test"}, **finish)
    return images


@pytest.mark.parametrize("size", [16, 256])
def test_pixels_and_index_survive_a_round_trip(tmp_path, size):
    images = write(tmp_path / "set", size)
    patches = PatchSet.open(tmp_path / "set")
    rows = np.array([7, 0, 11])
    np.testing.assert_array_equal(patches.images(rows), images[rows])
    np.testing.assert_array_equal(patches.images(), images)
    assert patches.labels.tolist() == [0, 1] * 6
    assert patches.index["patient"].tolist() == [f"p{r // 4}" for r in range(12)]
    assert patches.info.counts == {"train": {"normal": 6, "tumour": 6}}


def test_large_images_are_read_from_row_groups_of_any_length(tmp_path, monkeypatch):
    monkeypatch.setattr("histoforge.patches.images.BYTES_PER_GROUP", 500_000)  # two to three images of noise
    images = write(tmp_path / "set", 256)
    assert pq.ParquetFile(tmp_path / "set" / "images" / "00000.parquet").num_row_groups > 3
    rows = np.array([11, 3, 4, 0, 3])
    np.testing.assert_array_equal(PatchSet.open(tmp_path / "set").images(rows), images[rows])


@pytest.mark.parametrize("size", [16, 256])
def test_the_pixels_of_dropped_rows_are_removed(tmp_path, size):
    keep = np.arange(12) % 3 != 0
    images = write(tmp_path / "set", size, keep=keep, split=["train", "val"] * 6)
    patches = PatchSet.open(tmp_path / "set")
    np.testing.assert_array_equal(patches.images(), images[keep])
    np.testing.assert_array_equal(patches.split("val").images(), images[keep & (np.arange(12) % 2 == 1)])
    assert sum(path.stat().st_size for path in (tmp_path / "set").rglob("*.npy")) in (0, 128 + 8 * size * size * 3)


def test_a_narrowed_view_reads_the_right_pixels(tmp_path):
    images = write(tmp_path / "set", split=["train", "val", "val"] * 4)
    view = PatchSet.open(tmp_path / "set").split("val").where(np.array([5, 1]))
    np.testing.assert_array_equal(view.images(), images[[8, 2]])


def test_the_same_patches_have_the_same_digest(tmp_path):
    for name in "ab":
        write(tmp_path / name)
    assert PatchSet.open(tmp_path / "a").digest == PatchSet.open(tmp_path / "b").digest


def test_a_flipped_byte_in_the_index_is_detected(tmp_path):
    write(tmp_path / "set")
    flip_a_byte(tmp_path / "set" / "index.parquet")
    with pytest.raises(PatchSetError, match=r"index\.parquet is damaged"):
        PatchSet.open(tmp_path / "set")


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path, **values):
    info = json.loads((path / "patchset.json").read_text())
    (path / "patchset.json").write_text(json.dumps({**info, **values}))


def test_a_newer_schema_asks_for_an_upgrade(tmp_path):
    write(tmp_path / "set")
    edit(tmp_path / "set", schema_version=99, an_unknown_field=True)
    with pytest.raises(PatchSetError, match="schema 99, newer than .*upgrade histoforge"):
        PatchSet.open(tmp_path / "set")


def test_an_edited_description_is_detected(tmp_path):
    write(tmp_path / "set")
    edit(tmp_path / "set", classes=["tumour", "normal"])
    with pytest.raises(PatchSetError, match="was changed after it was written"):
        PatchSet.open(tmp_path / "set")


def test_a_truncated_description_is_detected(tmp_path):
    write(tmp_path / "set")
    path = tmp_path / "set" / "patchset.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(PatchSetError, match=r"patchset\.json is damaged"):
        PatchSet.open(tmp_path / "set")


def test_a_folder_without_a_patch_set_is_rejected(tmp_path):
    with pytest.raises(PatchSetError, match="not a patch set"):
        PatchSet.open(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path / "set")
    (tmp_path / "set" / "index.parquet").unlink()
    with pytest.raises(PatchSetError, match=r"lacks index\.parquet"):
        PatchSet.open(tmp_path / "set")


def test_an_empty_split_is_named(tmp_path):
    write(tmp_path / "set")
    with pytest.raises(PatchSetError, match="no patches in its 'test' split"):
        PatchSet.open(tmp_path / "set").split("test")


def test_failed_writing_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="midway"), PatchSetWriter.create(tmp_path / "set", ["a"], (8, 8)) as writer:
        writer.add(np.zeros((1, 8, 8, 3), np.uint8), label=0)
        raise ValueError("midway")
    assert list(tmp_path.iterdir()) == []


def test_patches_on_the_device_have_the_same_pixels(tmp_path):
    images = write(tmp_path / "set")
    patches = DevicePatches.load(PatchSet.open(tmp_path / "set"), "cpu")
    batch = patches.batch(torch.tensor([3, 9]))
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.tolist() == [1, 1]
    np.testing.assert_array_equal(to_uint8(batch.images).numpy(), images[[3, 9]])


def test_every_pixel_value_survives_a_round_trip_through_floats():
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    unit = to_unit(values)
    assert (unit.min(), unit.max()) == (-1, 1)
    assert torch.equal(to_uint8(unit).permute(0, 3, 1, 2), values)
