"""Folders with links and unfinished files, and full disks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import S3Server
from small_disk import mounted_small_disk

from histoforge.core.errors import StorageError
from histoforge.storage import open_location

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_small_disk(tmp_path / "small") as folder:
        yield folder


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "slide.svs").write_bytes(b"slide")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "self").symlink_to(root)
    (root / "file").symlink_to(tmp_path / "elsewhere" / "slide.svs")
    assert [entry.name for entry in open_location(str(root)).entries()] == ["file", "linked/slide.svs"]


def test_an_unfinished_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / ".slide.svs.0123abcd.partial").write_bytes(b"half")
    assert not open_location(str(tmp_path)).exists()


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.svs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"gone\.svs cannot be read"):
        open_location(str(tmp_path)).entries()


def test_a_file_is_not_a_location(tmp_path: Path) -> None:
    (tmp_path / "slide.svs").write_bytes(b"slide")
    with pytest.raises(StorageError, match="is a file: name its folder"):
        open_location(str(tmp_path / "slide.svs")).entries()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, small_disk: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(2 * MIB))
    (small_disk / "file").write_bytes(b"before")
    with pytest.raises(StorageError, match=r"^The disk is full while writing .+: free some space and run it again\.$"):
        open_location(str(tmp_path)).get("source", small_disk / "file")
    with pytest.raises(StorageError, match="The disk is full"):
        open_location(str(small_disk)).put(tmp_path / "source", "other")
    assert {path.name: path.read_bytes() for path in small_disk.iterdir()} == {"file": b"before"}


def test_a_full_disk_ends_a_download_too(s3_server: S3Server, bucket: Path, small_disk: Path) -> None:
    s3_server.store(bucket.name, "slide.svs", os.urandom(2 * MIB))
    with pytest.raises(StorageError, match="The disk is full"):
        open_location(f"s3://{bucket.name}").get("slide.svs", small_disk / "slide.svs")
    assert list(small_disk.iterdir()) == []


def test_a_limit_on_the_size_of_files_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(2 * MIB))
    code = (
        "import resource, sys; from pathlib import Path; from histoforge.storage import open_location\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({MIB}, {MIB}))\n"
        "open_location(sys.argv[1]).get('source', Path(sys.argv[1]) / 'target')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "StorageError" in done.stderr.splitlines()[-1]
    assert "cannot be written (File too large)" in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
