"""Trees are copied completely; after an interruption, only the rest is copied."""

from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy

from histoforge.core.errors import StorageError
from histoforge.storage import Location, open_location

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
        return open_location(str(tmp_path / "copy"))
    return open_location(f"s3://{request.getfixturevalue('bucket').name}/copy")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_only_missing_and_changed_files_are_copied(location: Location, tree: Path, tmp_path: Path) -> None:
    assert location.put_tree(tree) == 20
    assert location.put_tree(tree) == 0
    (tree / "0" / "03.png").write_bytes(b"x" * 3000)
    location.delete("1/07.png")
    assert location.put_tree(tree, last="2/10.png") == 3
    location.get_tree(tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tree)


def test_after_an_interrupted_copy_the_next_call_copies_the_rest(
    proxy: FaultyProxy, bucket: Path, tree: Path, tmp_path: Path
) -> None:
    location = open_location(f"s3://{bucket.name}/copy")
    proxy.arm("cut", after=30_000, upload=True, for_good=True)
    with pytest.raises(StorageError, match="stopped answering"):
        location.put_tree(tree)
    proxy.arm("", times=0)
    copied = len(location.entries())
    assert 0 < copied < 20
    assert location.put_tree(tree) == 20 - copied
    proxy.arm("cut", after=30_000, for_good=True)
    with pytest.raises(StorageError, match="stopped answering"):
        location.get_tree(tmp_path / "back")
    assert not (tmp_path / "back").exists()
    proxy.arm("", times=0)
    location.get_tree(tmp_path / "back")
    assert contents(tmp_path / "back") == FILES


def test_a_tree_of_many_files_arrives_whole(tmp_path: Path) -> None:
    many = {f"{number:03d}": bytes([number]) * 10 for number in range(80)}
    (tmp_path / "many").mkdir()
    for name, content in many.items():
        (tmp_path / "many" / name).write_bytes(content)
    open_location(str(tmp_path / "many")).get_tree(tmp_path / "whole")
    assert contents(tmp_path / "whole") == many
