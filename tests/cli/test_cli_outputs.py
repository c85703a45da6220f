"""No command replaces files of the user."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Ended, call
from textures import write_stripes
from tiny_study import write_images

from histoforge.classifiers.arms import read_arm
from histoforge.core.claims import locked, locked_folder
from histoforge.core.results import FILE_KINDS, KINDS
from histoforge.steps.table import STEPS

SMALL = ("--patch-size", "16", "--set", "overview_size=32", "--set", "split_ratios=2:1:1")
ARM = ("--backbone", "resnet10", "--width", "0.125", "--seeds", "1", "--batch-size", "8", "--set", "device=cpu")


def snapshot(folder: Path) -> dict[str, tuple[bytes | str, int]]:
    """Contents, targets of links, and times of change of all below a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            os.readlink(path) if path.is_symlink() else path.read_bytes(),
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def refused(ended: Ended, *phrases: object) -> None:
    """Check that the command ended with exit code 2 and one sentence that contains these phrases."""
    assert ended.code == 2, ended
    assert "Traceback" not in ended.err
    sentence = ended.err.strip().splitlines()[-1]
    assert all(str(phrase) in sentence for phrase in phrases), sentence


READ_A_SOURCE = ("cut_slides", "preprocess")


def arguments(name: str, folder: Path) -> list[object]:
    """Return the options that a step requires; its inputs need not exist, because they are not read."""
    step = STEPS[name]
    given: list[object] = [name.replace("_", "-")]
    for port in step.inputs:
        given += [f"--{port.name.replace('_', '-')}", folder / port.name]
    return [*given, *(("--source", folder / "source") if name in READ_A_SOURCE else ())]


@pytest.mark.parametrize("name", STEPS)
def test_every_output_of_every_step_has_a_kind(name: str) -> None:
    assert all(port.kind in {*KINDS, *FILE_KINDS} for port in STEPS[name].outputs)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("what", ["file", "link", "folder"])
def test_no_step_replaces_files_that_histoforge_did_not_write(
    name: str, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, step = tmp_path / "out", STEPS[name]
    if what == "file":
        out.write_text("mine")
    elif what == "link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to("elsewhere")
    for port in step.outputs if what == "folder" else ():
        (out / port.file).mkdir(parents=True, exist_ok=True)
        (out / port.file / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    refused(call(capsys, *arguments(name, tmp_path / "in"), "--out", out, "--overwrite"), out)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("out", [".", "..", "./below/.."])
def test_a_folder_is_known_by_its_place(
    name: str, out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here" / "below"
    folder.mkdir(parents=True)
    meant = (folder.parent / out).resolve()
    for port in STEPS[name].outputs:
        (meant / port.file).mkdir(exist_ok=True)
        (meant / port.file / "notes.txt").write_text("mine")
    monkeypatch.chdir(folder.parent)
    before = snapshot(tmp_path)
    refused(call(capsys, *arguments(name, Path("in")), "--out", out, "--overwrite"), meant)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("name", STEPS)
def test_no_step_writes_into_its_inputs(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, step = arguments(name, tmp_path / "in"), STEPS[name]
    inputs = [value for value in given if isinstance(value, Path)]
    for path in inputs:
        path.mkdir(parents=True)
        (path / "data").write_text("mine")
    before = snapshot(tmp_path)
    for path in inputs:
        refused(call(capsys, *given, "--out", path / "below", "--overwrite"), "is inside", path)
    if not step.outputs[0].file:
        refused(call(capsys, *given, "--out", tmp_path / "in", "--overwrite"), "contains")
        refused(call(capsys, *given, "--out", inputs[0], "--overwrite"), f"is {given[1]}")
    assert snapshot(tmp_path) == before


def test_preprocess_keeps_its_source_however_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_images(tmp_path / "x" / "overviews")
    (tmp_path / "link").symlink_to("x")
    before = snapshot(tmp_path)
    for named in (source, source.as_uri(), tmp_path / "link" / "overviews"):
        ended = call(capsys, "preprocess", "--source", named, "--out", tmp_path / "x", "--overwrite", *SMALL)
        refused(ended, "overviews is --source")
    assert snapshot(tmp_path) == before


def test_a_patch_set_is_replaced_by_the_same_command_or_with_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_images(tmp_path / "images"), tmp_path / "cut"
    command = ("preprocess", "--source", source, "--out", out, *SMALL)
    first = call(capsys, *command)
    assert first.code == 0, first.err
    (timings,) = json.loads((out / "timings.json").read_text())["tasks"]
    assert timings["task"] == "preprocess"
    assert timings["phases"]["decode"]["patches"] == timings["phases"]["write"]["patches"] > 0
    (out / "notes.txt").write_text("mine")
    times = snapshot(out)
    refused(
        call(capsys, *command, "--set", "seed=7"),
        "contains an earlier result (patch set): add --overwrite",
        out / "patches",
    )
    assert snapshot(out) == times
    assert call(capsys, *command).code == 0
    assert call(capsys, *command, "--set", "seed=7", "--overwrite").code == 0
    assert call(capsys, *command, "--set", "seed=7").code == 0
    assert (out / "notes.txt").read_text() == "mine"


def test_an_arm_is_replaced_by_the_same_command_or_with_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stripes(tmp_path / "patches", (8, 8), (4, 4), (), size=16)
    out = tmp_path / "arm"
    command = ("train-classifier", "--patches", tmp_path / "patches", "--out", out, *ARM)
    assert call(capsys, *command, "--epochs", 1).code == 0
    assert call(capsys, *command, "--epochs", 1).code == 0
    before = snapshot(out)
    refused(call(capsys, *command, "--epochs", 2), "contains an earlier result (arm): add --overwrite")
    assert snapshot(out) == before
    assert call(capsys, *command, "--epochs", 2, "--overwrite").code == 0
    assert read_arm(out)["config"]["epochs"] == 2
    (out / "notes.txt").write_text("mine")
    refused(call(capsys, *command, "--epochs", 2, "--overwrite"), "contains notes.txt")


def test_training_leaves_a_folder_of_the_users_beside_its_output_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stripes(tmp_path / "patches", (8, 8), (4, 4), (), size=16)
    (tmp_path / "arm.work").mkdir()
    (tmp_path / "arm.work" / "notes.txt").write_text("mine")
    command = ("train-classifier", "--patches", tmp_path / "patches", "--out", tmp_path / "arm", *ARM, "--epochs", 1)
    refused(call(capsys, *command), tmp_path / "arm.work", "notes.txt")
    assert (tmp_path / "arm.work" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "arm").exists()


def test_two_trainings_do_not_share_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stripes(tmp_path / "patches", (8, 8), (4, 4), (), size=16)
    out = tmp_path / "arm"
    with locked(out):
        ended = call(capsys, "train-classifier", "--patches", tmp_path / "patches", "--out", out, *ARM)
        refused(ended, f"{out} is being written by process {os.getpid()}", "wait until that command ends")
    assert not out.exists()


def test_phantom_keeps_a_folder_of_slides_that_it_did_not_draw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    (slides / "slides.csv").write_text("slide,patient,label\n")
    refused(call(capsys, "phantom", "--out", slides, "--overwrite"), "is no folder of phantom slides")
    drawn = ("phantom", "--out", tmp_path / "drawn", "--patients", 1, "--size-px", 512)
    assert [call(capsys, *drawn).code for _ in range(2)] == [0, 0]
    refused(call(capsys, *drawn, "--seed", 2), "add --overwrite")
    assert call(capsys, *drawn, "--seed", 2, "--overwrite").code == 0


@pytest.mark.parametrize("command", ["similar", "duplicates"])
@pytest.mark.parametrize("name", ["page.html", "page.json"])
def test_a_page_of_the_users_stays(command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    given = {"similar": ("--query", "q", "--in", "p"), "duplicates": ("--in", "p", "--of", "q")}[command]
    ended = call(capsys, command, *given, "--model", "m", "--out", tmp_path / "page.html", "--overwrite")
    refused(ended, tmp_path / name)
    assert (tmp_path / name).read_text() == '{"mine": 1}'


UNFINISHED = """
import os, signal, sys
from pathlib import Path
from histoforge.core.files import atomic_directory
with atomic_directory(Path(sys.argv[1]) / "patches") as folder:
    (folder / "images.npy").write_bytes(bytes(1000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_into(capsys: pytest.CaptureFixture[str], source: Path, out: Path, *more: object) -> Ended:
    return call(capsys, "run", "selective-augmentation", "--source", source, "--out", out, *more)


def test_run_does_not_begin_where_it_could_not_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_images(tmp_path / "images")
    for name in ("file", "link", "used", "named"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").rmdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").rmdir()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "used" / "patches").mkdir()
    (tmp_path / "used" / "patches" / "patchset.json").write_text("{}")
    (tmp_path / "named" / "run.json").write_text('{"pipeline": "selective-augmentation"}')
    (tmp_path / "named" / "patches").mkdir()
    before = snapshot(tmp_path)
    for name, phrase in {
        "file": "a file",
        "link": "a link",
        "used": "is not the folder of a run",
        "named": "is in the place of a link",
        "images": "is --source",
        "images/below": "is inside --source",
        ".": "contains --source",
    }.items():
        refused(run_into(capsys, source, tmp_path / name, "--overwrite"), phrase)
    assert snapshot(tmp_path) == before


def test_the_report_of_another_run_is_replaced_only_with_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Began(Exception):
        pass

    def begin(*_: object) -> None:
        raise Began

    monkeypatch.setattr("histoforge.cli.run.runner._run_in", begin)
    source, out = write_images(tmp_path / "images"), tmp_path / "out"
    with pytest.raises(Began):
        run_into(capsys, source, out)
    with pytest.raises(Began):  # no report is there yet
        run_into(capsys, source, out, "--set", "train_generator.epochs=7")
    (out / "report.html").write_text('<meta name="generator" content="histoforge 0.1.0">')
    (out / "metrics.json").write_text('{"answer": {}, "arms": {}}')
    with pytest.raises(Began):
        run_into(capsys, source, out, "--set", "train_generator.epochs=7")
    ended = run_into(capsys, source, out, "--set", "train_generator.epochs=8")
    refused(ended, "report of another run (train_generator.epochs 7 instead of 8): add --overwrite")
    with pytest.raises(Began):
        run_into(capsys, source, out, "--set", "train_generator.epochs=8", "--overwrite")
    assert json.loads((out / "run.json").read_text())["overrides"] == {"train_generator.epochs": 7}
    (out / "report.html").write_text("<h1>mine</h1>")
    refused(run_into(capsys, source, out, "--set", "train_generator.epochs=7"), out / "report.html")


def test_a_run_removes_leftovers_of_killed_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histoforge.cli.run.runner._run_in", lambda *_: None)
    source, out = write_images(tmp_path / "images"), tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", UNFINISHED, out / "artifacts" / "run" / "task" / "1"], check=False)
    assert killed.returncode == -signal.SIGKILL
    (out / "run.log").touch()
    assert any(path.name.endswith(".partial") for path in out.rglob("*"))
    assert run_into(capsys, source, out).code == 0
    assert not any(path.name.endswith(".partial") for path in out.rglob("*"))


def test_two_runs_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write_images(tmp_path / "images"), tmp_path / "out"
    with locked_folder(out):
        refused(run_into(capsys, source, out), "is being written by another process")
        refused(call(capsys, "phantom", "--out", out), "is being written by another process")
    assert not out.exists()


def test_a_folder_that_is_written_into_needs_no_right_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imitate a volume that is mounted into a container with a read-only file system."""
    monkeypatch.setattr("histoforge.cli.run.runner._run_in", lambda *_: None)
    source, out = write_images(tmp_path / "images"), tmp_path / "mounted" / "out"
    out.mkdir(parents=True)
    opened = os.open

    def open_below(path: object, *more: object, **options: object) -> int:
        assert Path(str(path)).parent != out.parent or Path(str(path)) == out, f"{path} was opened"
        return opened(path, *more, **options)

    monkeypatch.setattr(os, "open", open_below)
    assert run_into(capsys, source, out).code == 0
    assert json.loads((out / "run.json").read_text())["pipeline"] == "selective-augmentation"
