"""`preprocess` on PatchCamelyon's files: the official split, and a fraction of its training patches."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from preprocessing import preprocess

from histoforge.core.errors import SourceError

SIZES = {"train": 60, "valid": 12, "test": 16}


def pcam(folder: Path, side: int = 96) -> Path:
    """Files of PatchCamelyon's names and layout, with few patches."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, count in SIZES.items():
        name = f"camelyonpatch_level_2_split_{split}"
        with h5py.File(folder / f"{name}_x.h5", "w") as file:
            pixels = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
            file.create_dataset("x", data=pixels, chunks=(4, side, side, 3), compression="gzip", compression_opts=1)
        with h5py.File(folder / f"{name}_y.h5", "w") as file:
            file.create_dataset("y", data=(np.arange(count) % 2).astype(np.uint8).reshape(-1, 1, 1, 1))
    return folder


def test_the_official_split_is_kept(tmp_path: Path) -> None:
    source = pcam(tmp_path / "in")
    result = preprocess(source, tmp_path)
    assert result.summary.kind == "pcam"
    assert result.summary.split_by == "source"
    assert result.summary.mpp == 0.972
    assert result.summary.counts == {
        "train": {"normal": 30, "tumour": 30},
        "val": {"normal": 6, "tumour": 6},
        "test": {"normal": 8, "tumour": 8},
    }
    with h5py.File(source / "camelyonpatch_level_2_split_test_x.h5") as file:
        np.testing.assert_array_equal(result.patches.split("test").images(), file["x"][:])
    assert not result.summary.patients_known


def test_a_fraction_of_the_training_patches_is_drawn_balanced_by_seed(tmp_path: Path) -> None:
    source = pcam(tmp_path / "in")
    result = preprocess(source, tmp_path / "1", train_fraction=0.2)
    assert result.summary.counts["train"] == {"normal": 6, "tumour": 6}
    assert result.summary.counts["test"] == {"normal": 8, "tumour": 8}
    assert result.summary.dropped == {"training patches beyond train_fraction": 48}
    other = preprocess(source, tmp_path / "2", train_fraction=0.2, seed=1)
    assert set(result.patches.index["file"]) != set(other.patches.index["file"])
    capped = preprocess(source, tmp_path / "3", max_patches_per_class=40)
    assert capped.patches.counts.tolist() == [40, 40]


def test_slides_are_known_if_their_lists_exist(tmp_path: Path) -> None:
    source = pcam(tmp_path / "in")
    for split, count in SIZES.items():
        lines = [f"{split}_{row // 4}" for row in range(count)]
        text = "wsi\n" + "\n".join(lines) + "\n"
        (source / f"camelyonpatch_level_2_split_{split}_meta.csv").write_text(text)
    result = preprocess(source, tmp_path)
    assert result.summary.patients_known
    assert result.summary.patients == {"train": 15, "val": 3, "test": 4}


def test_faults_are_one_sentence(tmp_path: Path) -> None:
    source = pcam(tmp_path / "in")
    with pytest.raises(SourceError, match="have 96 x 96 px: set patch_size=96, not 64"):
        preprocess(source, tmp_path, patch_size=64)
    labels = source / "camelyonpatch_level_2_split_valid_y.h5"
    whole = labels.read_bytes()
    labels.unlink()
    with pytest.raises(SourceError, match="valid_x.h5 has no labels beside it"):
        preprocess(source, tmp_path)
    labels.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="valid_y.h5 is damaged, truncated or not HDF5"):
        preprocess(source, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_damaged_block_is_named(tmp_path: Path) -> None:
    source = pcam(tmp_path / "in")
    path = source / "camelyonpatch_level_2_split_test_x.h5"
    with h5py.File(path) as file:
        start = file["x"].id.get_chunk_info(1).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 200] = bytes(200)
    path.write_bytes(damaged)
    with pytest.raises(SourceError, match="test_x.h5 is damaged from patch 0 on"):
        preprocess(source, tmp_path)
