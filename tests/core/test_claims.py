"""Rules for replacing outputs, locks between writers, and files left by killed writers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from histoforge.core import files
from histoforge.core.claims import Output, check_apart, claimed, locked, record, recorded
from histoforge.core.errors import StorageError
from histoforge.core.files import atomic_directory
from histoforge.core.unfinished import clear, restore

KILLED = -signal.SIGKILL


def result(folder: Path, description: str = "arm.json", **entries: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / description).write_text(json.dumps(entries))
    return folder


def tree(folder: Path) -> dict[str, bytes | str]:
    """All below a folder: contents of files and targets of links."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def make_foreign(path: Path, what: str) -> None:
    """Put something at `path` that no command may replace."""
    if what == "file":
        path.write_text("mine")
    elif what == "link":
        path.symlink_to(result(path.with_name("elsewhere")))
    elif what == "dangling link":
        path.symlink_to(path.with_name("nowhere"))
    elif what == "folder":
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    elif what == "result with a file of the user":
        (result(path) / "notes.txt").write_text("mine")
    elif what == "result with a link of the user":
        (result(path) / "slides").symlink_to(path.parent)
    else:
        result(path, "model.json", kind="guide")


FOREIGN = (
    "file",
    "link",
    "dangling link",
    "folder",
    "result with a file of the user",
    "result with a link of the user",
)


@pytest.mark.parametrize("what", [*FOREIGN, "result of another kind"])
def test_foreign_files_are_kept_even_with_overwrite(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    make_foreign(out, what)
    before = tree(tmp_path)
    with pytest.raises(StorageError, match="name (that path|a new)"):
        with claimed([Output(out, "arm")], {}, overwrite=True, same=True):
            raise AssertionError("the block must not run")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("what", FOREIGN)
def test_a_directory_replaces_results_only(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    make_foreign(out, what)
    before = tree(tmp_path)
    with pytest.raises(StorageError), atomic_directory(out):
        raise AssertionError("the block must not run")
    assert tree(tmp_path) == before


def test_a_directory_created_during_writing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no result of histoforge"), atomic_directory(tmp_path / "out") as temporary:
        (temporary / "arm.json").write_text("{}")
        make_foreign(tmp_path / "out", "folder")
    assert tree(tmp_path) == {"out/notes.txt": b"mine"}


@pytest.mark.parametrize("kind", ["page", "metrics"])
def test_a_foreign_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "report"
    out.write_text('{"answer": 42}')
    with pytest.raises(StorageError, match="is no"), claimed([Output(out, kind)], {}, overwrite=True):
        raise AssertionError("the block must not run")
    assert out.read_text() == '{"answer": 42}'


def test_an_earlier_result_is_replaced_with_overwrite_or_by_the_same_command(tmp_path: Path) -> None:
    out = result(tmp_path / "out")
    with pytest.raises(StorageError, match=r"contains an earlier result \(arm\): add --overwrite"):
        with claimed([Output(out, "arm")], {}):
            raise AssertionError("the block must not run")
    for allowed in ({"overwrite": True}, {"same": True}):
        with claimed([Output(out, "arm")], {}, **allowed), atomic_directory(out) as temporary:
            (temporary / "arm.json").write_text(str(allowed))
        assert (out / "arm.json").read_text() == str(allowed)


def test_unused_and_empty_directories_need_no_flag(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/below"):
        with claimed([Output(tmp_path / name, "arm")], {}), atomic_directory(tmp_path / name) as temporary:
            (temporary / "arm.json").write_text("{}")
    assert tree(tmp_path) == {"empty/arm.json": b"{}", "new/below/arm.json": b"{}"}


def test_a_command_that_fails_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyError), claimed([Output(tmp_path / "a" / "b" / "c", "arm")], {}):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "read", "relation"),
    [
        ("a", "a", "is"),
        ("a", "a/patches", "contains"),
        ("a/b/c", "a", "is inside"),
        ("link", "a", "is"),
        ("link/x", "a", "is inside"),
        ("a", "link/patches", "contains"),
        ("up", "a/patches", "contains"),
        ("a/../a/./patches", "a/patches", "is"),
        ("not there", "not there", "is"),
    ],
)
def test_an_output_never_touches_an_input(tmp_path: Path, out: str, read: str, relation: str) -> None:
    (tmp_path / "a" / "patches").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "up").symlink_to(tmp_path)
    with pytest.raises(StorageError, match=f" {relation} --patches"):
        check_apart(tmp_path / out, {"--patches": tmp_path / read})
    check_apart(tmp_path / "a-b", {"--patches": tmp_path / "a"})


def test_an_output_has_one_writer_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from histoforge.core.claims import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    out = tmp_path / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", code, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=f"out is being written by process {other.pid} on .*: wait"), locked(out):
        raise AssertionError("both processes lock it")
    other.kill()
    other.communicate()
    with locked(out):
        pass
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_of_several_training_processes_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Output(tmp_path / "out", "arm")
    with claimed([output], {}):
        with pytest.raises(StorageError, match="is being written"), claimed([output], {}):
            raise AssertionError("the first process claimed it twice")
        monkeypatch.setenv("RANK", "1")
        with claimed([output], {}):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [".out.histoforge-lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_result_records_the_command_that_made_it(tmp_path: Path) -> None:
    record(tmp_path, "evaluate", "0123")
    record(tmp_path, "preprocess", "4567")
    assert [recorded(tmp_path, name) for name in ("evaluate", "preprocess", "phantom")] == ["0123", "4567", ""]
    (tmp_path / ".histoforge.json").write_text("[")
    assert recorded(tmp_path, "evaluate") == ""


REPLACE = """
import ctypes, os, signal, sys
from pathlib import Path
from histoforge.core import files
out, swap, moment = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if swap == "no":
    files._swapped = lambda first, second: False
calls = []
def killing(function):
    def rename(*arguments):
        calls.append(function)
        if len(calls) > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return rename
os.rename, os.replace = killing(os.rename), killing(os.replace)
with files.atomic_directory(out) as temporary:
    (temporary / "arm.json").write_text("new")
    calls.clear()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("swap", ["yes", "no"])
@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_process_killed_between_renames_leaves_a_complete_result(tmp_path: Path, swap: str, moment: int) -> None:
    """Without the swap of names, the moment between the two renames leaves nothing, until the next command looks."""
    out = tmp_path / "out"
    result(out)
    (out / "arm.json").write_text("old")
    killed = subprocess.run([sys.executable, "-c", REPLACE, out, swap, str(moment)], check=False)
    assert killed.returncode == KILLED
    if swap == "yes":
        assert (out / "arm.json").is_file()
    with claimed([Output(tmp_path / "other", "arm")], {"--arm": out}):
        assert (out / "arm.json").read_text() == ("old" if (swap, moment) in {("no", 0), ("no", 1)} else "new")
    clear(tmp_path)
    assert tree(tmp_path).keys() == {"out/arm.json"}


def test_names_are_swapped_where_the_file_system_supports_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        result(tmp_path / name, name)
    swapped = files._swapped(tmp_path / "a", tmp_path / "b")
    if not swapped:
        pytest.skip("this file system cannot swap two names")
    assert tree(tmp_path).keys() == {"a/b", "b/a"}


WRITE = """
import os, signal, sys
from pathlib import Path
from histoforge.core.files import atomic_directory, atomic_file
with atomic_directory(Path(sys.argv[1]) / "set") as folder, atomic_file(Path(sys.argv[1]) / "page.html") as file:
    (folder / "images.npy").write_bytes(bytes(1000))
    file.write_text("half")
    print("writing", flush=True)
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_files_of_a_killed_writer_are_removed_and_those_of_a_running_one_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    living = subprocess.Popen(
        [sys.executable, "-c", WRITE, tmp_path, "live"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert living.stdout.readline() == "writing\n"
    begun = set(tmp_path.iterdir())
    assert subprocess.run([sys.executable, "-c", WRITE, tmp_path, "die"], check=False).returncode == KILLED
    assert len(set(tmp_path.iterdir()) - begun) == 2
    foreign = tmp_path / ".mine.partial"
    foreign.write_text("mine")
    former = tmp_path / ".set.0123abcd.partial"
    former.write_text("of an earlier version")
    elsewhere = tmp_path / ".set.01234567-1-0123abcd.partial"
    elsewhere.write_text("of another machine")
    clear(tmp_path)
    assert set(tmp_path.iterdir()) - begun == {foreign, former, elsewhere}
    output = capsys.readouterr().err
    assert str(former) in output
    assert str(elsewhere) in output
    assert str(foreign) not in output
    living.communicate("")
    assert (tmp_path / "page.html").read_text() == "half"
    assert (tmp_path / "set" / "images.npy").stat().st_size == 1000


def test_the_next_command_removes_the_files_of_a_killed_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", WRITE, tmp_path, "die"], check=False)
    with claimed([Output(tmp_path / "arm", "arm")], {}):
        assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]


def test_a_directory_replaced_on_another_machine_is_restored_once_abandoned(tmp_path: Path) -> None:
    replaced = tmp_path / ".set.01234567-1-0123abcd.replaced"
    result(replaced)
    restore(tmp_path / "set")
    assert replaced.exists()
