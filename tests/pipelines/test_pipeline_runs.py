"""Selective augmentation from image folders to the report, through kfp's local runner, as `histoforge run` does it."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import call
from PIL import Image
from running import ENVIRONMENT, command, run, start
from tiny_study import write_images

from histoforge.patches import PatchSet


def children(process):
    """Processes that descend from `process`."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family = {process}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {process}


@pytest.fixture(scope="module")
def finished(source, tmp_path_factory):
    """A run of selective-augmentation that was killed while it trained the generator, and typed again."""
    out = tmp_path_factory.mktemp("run") / "out"
    process = start(source, out)
    for line in process.stderr:
        if line.startswith("train_generator seed 0:"):
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
    assert "Cut patches: result reused" in done.stderr
    assert "Train the baseline: result reused" in done.stderr
    assert "train_generator seed 0: done in" in done.stderr


def test_it_shows_and_keeps_time_and_memory_of_each_task(finished):
    out, done, _ = finished
    usage = json.loads((out / "timings.json").read_text())
    assert "Cut patches" in usage["cached"]
    used = {entry["task"]: entry for entry in usage["tasks"]}
    assert used["train_generator seed 0"]["peak_memory_gib"] > 0.1
    assert used["train_generator seed 0"]["phases"]["compute"]["patches"] > 0
    assert used["preprocess"]["phases"]["decode"]["patches"] > 0, "kept, as its result was reused"
    (row,) = (line for line in done.stderr.splitlines() if line.startswith("  train_generator seed 0 "))
    assert row.split()[5] == f"{used['train_generator seed 0']['peak_memory_gib']:.2f}"


def test_it_says_where_the_report_is_and_what_it_answers(finished):
    out, done, _ = finished
    answer = json.loads((out / "metrics.json").read_text())["answer"]
    lines = done.stdout.splitlines()
    assert lines[0] == answer["headline"]
    assert lines[-2:] == [f"report:  {out / 'report.html'}", f"metrics: {out / 'metrics.json'}"]
    report = (out / "report.html").read_text()
    timings = report[report.index('<section id="timings"') :]
    assert all(f">{task}<" in timings for task in ("preprocess", "train_generator seed 0", "evaluate"))


def test_every_arm_is_in_the_results_and_every_artifact_beside_them(finished):
    out, _, _ = finished
    arms = {"baseline", "traditional", "control", "control_0_5", "gan", "single_filter", "selective"}
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
    assert len(re.findall("result reused", done.stderr)) == 13
    assert "train_classifier:" not in done.stderr


def test_a_copied_folder_is_taken_over_and_a_setting_reruns_only_what_depends_on_it(finished, source, tmp_path):
    moved = shutil.copytree(finished[0], tmp_path / "elsewhere" / "moved", symlinks=True)
    changed = {"train_generator.epochs": 3, "preprocess.workers": 1}
    done = run("selective-augmentation", source, moved, "--overwrite", **changed)
    assert done.returncode == 0, done.stderr[-2000:]
    taken_over = set(re.findall("^(.*): result reused$", done.stderr, re.MULTILINE))
    assert taken_over == {"Cut patches", "Train the baseline", "Train with augmentation or held-back patches"}
    assert "train_generator seed 0: done in" in done.stderr
    artifacts = [(moved / name).resolve() for name in ("patches", "baseline", "generator")]
    assert all(path.is_relative_to(moved) and path.exists() for path in artifacts)


def test_an_external_test_repeats_only_the_evaluation(finished, tmp_path_factory, tmp_path):
    moved = shutil.copytree(finished[0], tmp_path / "moved", symlinks=True)
    source = json.loads((moved / "run.json").read_text())["source"]
    external = write_images(tmp_path_factory.mktemp("external"), per_class=12, patients=6)
    for path in external.rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    done = run("selective-augmentation", source, moved, "--overwrite", "--test-source", str(external))
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall("result reused", done.stderr)) == 12
    results = json.loads((moved / "metrics.json").read_text())
    assert results["external"]["units"][""] == 6
    assert set(results["external"]["arms"]) == set(results["arms"])


def test_inspect_shows_what_a_run_holds(finished, capsys):
    out, _, _ = finished
    for name, words in {
        "patches": ("16x16 px", "benign", "patients", "digest"),
        "generator": ("histogan", "parameters"),
        "baseline": ("baseline", "seeds", "validation accuracy"),
        "report.html": ("single_filter", "accuracy", "±"),
        ".": ("single_filter", "accuracy", "±"),
    }.items():
        shown = call(capsys, "inspect", out / name).out
        assert all(word in shown for word in words), shown


def test_a_user_error_in_a_task_is_the_last_line_and_2(source, tmp_path):
    done = run("selective-augmentation", source, tmp_path / "out", **{"preprocess.patch_size": "64"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "16 x 16 px" in done.stderr.splitlines()[-1]


def test_ctrl_c_stops_the_tasks_with_a_checkpoint_and_says_so(source, tmp_path):
    process = start(source, tmp_path / "out", **{"train_classifier.epochs": 10_000})
    for line in process.stderr:
        if line.startswith("train_classifier baseline:"):
            break
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "stopped"
    assert "run the same command again to resume from it, or press Ctrl-C again to stop at once" in error
    assert "Traceback" not in error
    assert list((tmp_path / "out" / "checkpoints").rglob("checkpoint-*.safetensors"))


def test_a_bug_in_a_task_shows_its_traceback_and_ends_with_1(source, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Broken:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'histoforge.steps.preprocess':\n"
        "            raise ZeroDivisionError('a bug')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )
    done = subprocess.run(
        command("selective-augmentation", source, tmp_path / "out"),
        capture_output=True,
        text=True,
        check=False,
        env={**ENVIRONMENT, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "run.log" in done.stderr.splitlines()[-1]


SAME_ARMS = {"gan": "lab", "single_filter": "lab_distance", "selective": "lab_entropy_centroid"}


@pytest.fixture(scope="module")
def judged(finished, source, tmp_path_factory):
    """`judge` on the pool of the finished run, exported as PNGs as if a lab had sent them; its folder and its end."""
    folder = tmp_path_factory.mktemp("judged")
    pool = PatchSet.open(finished[0] / "pool")
    for number, (image, name) in enumerate(zip(pool.images(), pool.index["class_name"], strict=True)):
        (folder / "lab" / name.upper()).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "lab" / name.upper() / f"{number:04}.png")
    return folder / "out", run("judge", source, folder / "out", "--synthetic", str(folder / "lab"))


def test_judge_gives_foreign_patches_the_numbers_of_the_generator_that_drew_them(finished, judged):
    assert judged[1].returncode == 0, judged[1].stderr[-2000:]
    own, foreign = (json.loads((out / "metrics.json").read_text()) for out in (finished[0], judged[0]))
    assert judged[1].stdout.splitlines()[0] == foreign["answer"]["headline"]
    for internal, external in SAME_ARMS.items():
        assert own["arms"][internal]["scores"] == foreign["arms"][external]["scores"]
    for name in {*own["arms"]} - {*SAME_ARMS}:
        assert own["arms"][name]["scores"] == foreign["arms"][name]["scores"]
    assert own["generative"] == foreign["generative"]
    assert own["memorisation"] == foreign["memorisation"]


def test_judge_keeps_each_set_and_its_arms_beside_the_report(judged):
    out, _ = judged
    assert PatchSet.open(out / "synthetic").info.made_by["origin"]["name"] == "lab"
    for name in SAME_ARMS.values():
        assert json.loads((out / name / "arm.json").read_text())["arm"] == name


def test_judge_refuses_foreign_classes_before_anything_is_trained(source, judged, tmp_path):
    lab = judged[0].parent / "lab"
    shutil.copytree(lab / "BENIGN", tmp_path / "lab" / "glands")
    done = run("judge", source, tmp_path / "out", "--synthetic", str(tmp_path / "lab"))
    assert done.returncode == 2
    assert "has the class 'glands', and the real patches have benign, tumour" in done.stderr.splitlines()[-1]
    assert "preprocess" not in done.stderr
    none = run("judge", source, tmp_path / "out")
    assert none.returncode == 2
    assert "There are no synthetic patches to judge" in none.stderr.splitlines()[-1]
    other = run("selective-augmentation", source, tmp_path / "out", "--synthetic", str(lab))
    assert other.returncode == 2
    assert "has no 'synthetic': it draws its synthetic patches itself" in other.stderr
