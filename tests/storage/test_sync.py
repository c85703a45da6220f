"""Trees copied so that what arrived before a break is not copied again."""

import os
import signal
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy

from histoforge.core.errors import StorageError
from histoforge.storage import Location, open_location, sync_down, sync_up
from histoforge.storage.local import LocalLocation

FILES = {f"{number // 5}/{number:02d}.png": bytes([number]) * 3000 for number in range(20)}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(content)
    return tmp_path / "tree"


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    if request.param == "folder":
        return open_location(str(tmp_path / "place"))
    return open_location(f"s3://{request.getfixturevalue('bucket').name}/place")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_only_what_is_missing_or_another_is_copied(location: Location, tree: Path, tmp_path: Path) -> None:
    assert sync_up(tree, location) == 20
    assert sync_up(tree, location) == 0
    (tree / "0" / "03.png").write_bytes(b"x" * 3000)
    location.delete("1/07.png")
    assert sync_up(tree, location, last="2/10.png") == 3
    assert sync_down(location, tmp_path / "back") == 20
    assert contents(tmp_path / "back") == contents(tree)
    with pytest.raises(StorageError, match="back is there already"):
        sync_down(location, tmp_path / "back")


class Deadly(LocalLocation):
    """A folder whose reader is killed at the ninth file."""

    left = 9

    def get(self, name: str, path: Path, durable: bool = True) -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        super().get(name, path, durable)


def test_a_killed_copy_goes_on_where_it_was(tree: Path, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        sync_down(Deadly(tree), tmp_path / "back")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert not (tmp_path / "back").exists()
    (tree / "0" / "00.png").write_bytes(b"changed since")
    (tmp_path / ".back.sync.partial" / "of-another-time").write_bytes(b"x")
    assert 12 <= sync_down(open_location(str(tree)), tmp_path / "back") <= 20
    assert contents(tmp_path / "back") == contents(tree)
    assert not (tmp_path / ".back.sync.partial").exists()


def test_a_server_that_breaks_off_costs_only_what_was_on_its_way(
    proxy: FaultyProxy, bucket: Path, tree: Path, tmp_path: Path
) -> None:
    location = open_location(f"s3://{bucket.name}/place")
    proxy.arm("cut", after=30_000, upload=True, for_good=True)
    with pytest.raises(StorageError, match="stopped answering"):
        sync_up(tree, location)
    proxy.arm("", times=0)
    there = len(location.entries())
    assert 0 < there < 20
    assert sync_up(tree, location) == 20 - there
    proxy.arm("cut", after=30_000, for_good=True)
    with pytest.raises(StorageError, match="stopped answering"):
        sync_down(location, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    proxy.arm("", times=0)
    assert 0 < sync_down(location, tmp_path / "back") < 20
    assert contents(tmp_path / "back") == FILES


def test_a_tree_of_many_files_is_flushed_at_once_and_whole(tmp_path: Path) -> None:
    many = {f"{number:03d}": bytes([number]) * 10 for number in range(80)}
    (tmp_path / "many").mkdir()
    for name, content in many.items():
        (tmp_path / "many" / name).write_bytes(content)
    location = open_location(str(tmp_path / "many"))
    location.get_tree(tmp_path / "whole")
    assert sync_down(location, tmp_path / "back") == 80
    assert contents(tmp_path / "whole") == contents(tmp_path / "back") == many
