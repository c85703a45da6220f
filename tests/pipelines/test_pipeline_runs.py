"""Both pipelines from image folders to the report, through kfp's local runner, as `histoforge run` does it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_study import SETTINGS, write_images

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
PROGRAM = Path(sys.executable).with_name("histoforge")


def command(pipeline, source, out, **more):
    settings = [part for name, value in {**SETTINGS, **more}.items() for part in ("--set", f"{name}={value}")]
    return [str(PROGRAM), "run", pipeline, "--source", str(source), "--out", str(out), "--preset", "", *settings]


def run(*arguments, **more):
    return subprocess.run(command(*arguments, **more), capture_output=True, text=True, check=False, env=ENVIRONMENT)


def start(source, out):
    """The command as a process of a session of its own."""
    return subprocess.Popen(
        command("selective-augmentation", source, out),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )


def children(process):
    """Processes that descend from `process`."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listing.splitlines())}
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("source") / "images")


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    """A run of selective-augmentation that was killed while it trained the generator, and typed again."""
    out = tmp_path_factory.mktemp("run") / "out"
    process = start(source, out)
    for line in process.stderr:
        if line.startswith("train_generator:"):
            break
    tasks = children(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in tasks) and time.monotonic() < deadline:
        time.sleep(0.2)
    left = [pid for pid in tasks if Path(f"/proc/{pid}").exists()]
    return out, run("selective-augmentation", source, out), left


def test_a_killed_run_leaves_no_task_behind(finished):
    assert finished[2] == []


def test_the_same_command_goes_on_and_ends_well(finished):
    _, done, _ = finished
    assert done.returncode == 0, done.stderr[-2000:]
    assert "preprocess: done before" in done.stderr
    assert "train-classifier: done before" in done.stderr
    assert "train_generator: done in" in done.stderr


def test_it_says_where_the_report_is_and_what_it_answers(finished):
    out, done, _ = finished
    answer = json.loads((out / "metrics.json").read_text())["answer"]
    lines = done.stdout.splitlines()
    assert lines[0] == answer["headline"]
    assert lines[-2:] == [f"report:  {out / 'report.html'}", f"metrics: {out / 'metrics.json'}"]
    assert (out / "report.html").stat().st_size > 10_000


def test_every_arm_is_in_the_results_and_every_artifact_beside_them(finished):
    out, _, _ = finished
    arms = {"baseline", "traditional", "gan", "single_filter", "selective"}
    results = json.loads((out / "metrics.json").read_text())
    assert set(results["arms"]) == arms
    for name in arms:
        assert json.loads((out / name / "arm.json").read_text())["arm"] == name
    for name in ("patches", "overviews", "pool", "selected"):
        assert (out / name / "patchset.json").is_file()
    assert (out / "generator" / "model.json").is_file()


def test_a_third_call_takes_everything_over(finished, source):
    out, _, _ = finished
    done = run("selective-augmentation", source, out)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall("done before", done.stderr)) == 11
    assert "train_classifier" not in done.stderr


def test_inspect_shows_what_a_run_holds(finished):
    out, _, _ = finished
    for name, parts in {
        "patches": ("16x16 px", "benign", "patients", "digest"),
        "generator": ("histogan", "parameters"),
        "baseline": ("baseline", "seeds", "validation accuracy"),
        "report.html": ("single_filter", "accuracy", "±"),
        ".": ("single_filter", "accuracy", "±"),
    }.items():
        done = subprocess.run([PROGRAM, "inspect", out / name], capture_output=True, text=True, check=True)
        assert all(part in done.stdout for part in parts), done.stdout


def test_the_study_has_a_report_of_its_cells_and_fractions(source, tmp_path):
    asked = {"ratios": "[0.5, 1]", "pool_multiples": "[2]", "fractions": "[0.5]"}
    done = run("augmentation-study", source, tmp_path / "out", **asked)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(results["arms"]) == {
        "baseline",
        "selective_r0_5_pool2n",
        "selective_r1_pool2n",
        "baseline_50pct",
        "selective_50pct",
    }


def test_a_user_error_in_a_task_is_the_last_line_and_2(source, tmp_path):
    done = run("selective-augmentation", source, tmp_path / "out", **{"preprocess.patch_size": "64"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "16 x 16 px" in done.stderr.splitlines()[-1]


def test_ctrl_c_stops_the_tasks_and_says_so(source, tmp_path):
    process = start(source, tmp_path / "out")
    for line in process.stderr:
        if line.startswith("preprocess: done"):
            break
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "stopped"
    assert "Traceback" not in error
