"""Atomic files and directories, digests, seeds."""

import subprocess
import sys

import pytest

from histoforge.core.digests import digest_json
from histoforge.core.documents import read_json
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_directory, atomic_file, write_json
from histoforge.core.seeds import derive_seed


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"kept": 1})
    with pytest.raises(ValueError, match="midway"), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise ValueError("midway")
    assert read_json(path) == {"kept": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_directory_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "set"
    with atomic_directory(path) as temporary:
        (temporary / "arm.json").write_text("whole")
    with pytest.raises(ValueError, match="midway"), atomic_directory(path) as temporary:
        (temporary / "new").write_text("half")
        raise ValueError("midway")
    assert (path / "arm.json").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_replaced_whole(tmp_path):
    path = tmp_path / "set"
    for name in ("seed-1/model.json", "seed-2/model.json"):
        with atomic_directory(path) as temporary:
            (temporary / "arm.json").write_text("{}")
            (temporary / name).parent.mkdir()
            (temporary / name).write_text(name)
    assert sorted(p.name for p in path.iterdir()) == ["arm.json", "seed-2"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path):
    if not _can_mount(tmp_path):
        pytest.skip("mounting a small file system needs root")
    full = tmp_path / "full"
    try:
        with pytest.raises(StorageError, match="disk is full while writing .*free some space"):
            with atomic_directory(full / "set") as temporary:
                (temporary / "images.npy").write_bytes(bytes(4 << 20))
        assert list(full.iterdir()) == []
    finally:
        subprocess.run(["umount", full], check=True)


def _can_mount(tmp_path):
    (tmp_path / "full").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path / "full")]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def test_nan_never_reaches_a_json_file(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"fid": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1}) != digest_json({"a": 1, "b": 3})


def test_seeds_differ_by_purpose_and_not_by_process():
    code = "from histoforge.core.seeds import derive_seed; print(derive_seed(3, 'pool', 1))"
    other = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert derive_seed(3, "pool", 1) == other
    assert len({derive_seed(3, "pool", c) for c in range(50)} | {derive_seed(4, "pool", 1)}) == 51
