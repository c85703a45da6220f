"""Training sees the same patches in the same order whether they are in memory or read from their files."""

from collections import Counter

import numpy as np
import pytest
import torch
from test_patchset import flip_a_byte

from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.memory import memory_limit
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches, host_memory
from histoforge.patches.shuffling import shuffled_windows
from histoforge.patches.stream import PatchSequence, PatchStream

CPU = torch.device("cpu")
BYTES = 3 * 8 * 8
COUNT = 50


@pytest.fixture
def patches(tmp_path, monkeypatch):
    """Fifty patches in chunks of five, of which windows hold up to twenty."""
    monkeypatch.setattr("histoforge.patches.chunks.CHUNK_BYTES", 5 * BYTES)
    monkeypatch.setattr("histoforge.patches.device.WINDOW_BYTES", 20 * BYTES)
    with PatchSetWriter.create(tmp_path / "set", ["a", "b"], (8, 8)) as writer:
        images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
        writer.add(images, label=[row % 2 for row in range(COUNT)])
        writer.finish({"step": "test"}, split=["val" if row % 7 == 3 else "train" for row in range(COUNT)])
    return PatchSet.open(tmp_path / "set")


def in_memory(patches):
    return DevicePatches.load(patches, CPU)


def streamed(patches):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HISTOFORGE_PATCH_MEMORY", "0")
        loaded = DevicePatches.load(patches, CPU)
    assert isinstance(loaded.images, PatchStream)
    return loaded


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_set_of_one_window_is_permuted_as_a_whole():
    (rows,) = shuffled_windows(torch.arange(50) // 5, 50, rng())
    assert torch.equal(rows, torch.randperm(50, generator=rng()))


def test_windows_are_shuffled_chunks_of_shuffled_rows():
    chunks = torch.arange(50) // 5
    windows = shuffled_windows(chunks, 22, rng())
    assert [len(window) for window in windows] == [20, 20, 10]
    assert torch.equal(torch.cat(windows).sort().values, torch.arange(50))
    for window in windows:
        assert set(Counter(chunks[window].tolist()).values()) == {5}  # whole chunks
        assert chunks[window].diff().ne(0).sum() >= len(chunks[window].unique())  # whose rows are mixed
    assert torch.cat(windows).tolist() != torch.cat(shuffled_windows(chunks, 22, rng(1))).tolist()


def test_a_chunk_larger_than_a_window_is_a_window():
    windows = shuffled_windows(torch.tensor([0] * 30 + [1] * 5), 10, rng())
    assert sorted(len(window) for window in windows) == [5, 30]


@pytest.mark.parametrize("view", [lambda s: s, lambda s: s.split("train"), lambda s: s.of_class(1)])
def test_a_stream_gives_the_batches_of_a_set_in_memory(patches, view):
    loaded, stream = in_memory(view(patches)), streamed(view(patches))
    for number, first in ((0, 11), (1, 0), (2, 0)):  # from the middle of a pass, as after a resumed training
        order = loaded.order(rng(number), first)
        assert torch.equal(stream.order(rng(number), first), order)
        for rows in order.split(8):
            expected, batch = loaded.batch(rows), stream.batch(rows)
            assert torch.equal(batch.images, expected.images)
            assert torch.equal(batch.labels, expected.labels)
            assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_two_windows_at_most_are_in_memory(patches, monkeypatch):
    read, reads = PatchSequence.read, []
    monkeypatch.setattr(PatchSequence, "read", lambda self, rows: reads.append(len(rows)) or read(self, rows))
    stream = streamed(patches)
    rows, following = stream.order(rng(0)), stream.order(rng(1))
    for number in range(2, 5):
        for batch in rows.split(5):
            stream.batch(batch)
            assert sum(window._pixels is not None for window in stream.images._windows) <= 2
        rows, following = following, stream.order(rng(number))
    assert sum(reads[:9]) == 3 * COUNT  # each window once, and no row by itself
    assert len(stream.images._windows) <= 8


def test_a_set_of_one_window_is_read_once(patches, monkeypatch):
    monkeypatch.setattr("histoforge.patches.device.WINDOW_BYTES", COUNT * BYTES)
    read, reads = PatchSequence.read, []
    monkeypatch.setattr(PatchSequence, "read", lambda self, rows: reads.append(len(rows)) or read(self, rows))
    stream = streamed(patches)
    for number in range(4):
        stream.batch(stream.order(rng(number))[:8])
    assert reads == [COUNT]


def test_any_rows_can_be_read_while_windows_are_streamed(patches):
    loaded, stream = in_memory(patches), streamed(patches)
    order = stream.order(rng())
    for rows in order.split(10):
        others = torch.randperm(COUNT, generator=rng(int(rows[0])))[:16]
        for wanted in (rows, others):
            assert torch.equal(stream.batch(wanted).images, loaded.batch(wanted).images)


def test_several_sets_follow_each_other(patches):
    sets = [patches.split("train"), patches.split("val")]
    loaded, stream = in_memory(sets), streamed(sets)
    rows = torch.tensor([0, 49, 42, 43, 7])
    expected = np.concatenate([part.images() for part in sets])[rows]
    for joined in (loaded, stream):
        assert len(joined) == COUNT
        np.testing.assert_array_equal(joined.images[rows].permute(0, 2, 3, 1), expected)
    assert torch.equal(loaded.labels, stream.labels)
    assert torch.equal(loaded.order(rng()), stream.order(rng()))
    assert len(loaded.chunks.unique()) == 17  # a chunk of the val split is none of the train split's


def test_damage_in_a_window_ends_the_training(patches, tmp_path):
    flip_a_byte(tmp_path / "set" / "images" / "00007.npy")
    stream = streamed(patches)
    with pytest.raises(PatchSetError, match=r"00007\.npy is damaged"):
        for rows in stream.order(rng()).split(5):
            stream.batch(rows)


def test_the_memory_for_patches_is_set_by_the_machine_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "limit").write_text(f"{3 << 30}\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.delenv("HISTOFORGE_PATCH_MEMORY", raising=False)
    monkeypatch.setattr("histoforge.core.memory.LIMITS", (tmp_path / "none", tmp_path / "limit", tmp_path / "absent"))
    assert (memory_limit(), host_memory()) == (3 << 30, 3 << 29)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("HISTOFORGE_PATCH_MEMORY", "0.5")
    assert host_memory() == 1 << 28
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv("HISTOFORGE_PATCH_MEMORY", wrong)
        with pytest.raises(SettingsError, match="HISTOFORGE_PATCH_MEMORY is not a number of GiB"):
            host_memory()
