"""One network against two stages, from PatchCamelyon's files to the report, through kfp's local runner."""

import json
import re
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import call
from running import ENVIRONMENT, PROGRAM
from tiny_study import UNIFIED

from histoforge.phantom import draw_patches

PATCHES = {"train": 24, "valid": 8, "test": 8}
LISTS = {
    "backbones": '["resnet10", "resnet50_cbam"]',
    "ratios": "[0.5]",
    "networks": "[vitgan]",
    "train_classifier.seeds": 1,
}
ARMS = {"baseline", "resnet50_cbam", "resnet10_r0_5", "resnet50_cbam_r0_5", "vitgan"}


def write_pcam(folder: Path) -> Path:
    """Write files of PatchCamelyon's names and layout, with drawn patches and the list of their slides."""
    folder.mkdir()
    drawn = draw_patches(sum(PATCHES.values()) // 2, (96, 96), mpp=2.0, patients=10)
    order = np.argsort(drawn.patients, kind="stable")
    rows = iter(np.split(order, np.cumsum(list(PATCHES.values()))[:-1]))
    for split, chosen in zip(PATCHES, rows, strict=True):
        name = f"camelyonpatch_level_2_split_{split}"
        with h5py.File(folder / f"{name}_x.h5", "w") as file:
            file.create_dataset("x", data=drawn.images[chosen], chunks=(4, 96, 96, 3), compression="gzip")
        with h5py.File(folder / f"{name}_y.h5", "w") as file:
            file.create_dataset("y", data=drawn.labels[chosen].astype(np.uint8).reshape(-1, 1, 1, 1))
    return folder


def arguments(source, out, **more):
    assignments = {**UNIFIED, "preprocess.patch_size": "96", **LISTS, **more}
    settings = [word for name, value in assignments.items() for word in ("--set", f"{name}={value}")]
    return ["run", "unified", "--source", source, "--out", out, "--preset", "", *settings]


def run(source, out):
    command = [PROGRAM, *arguments(source, out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def pcam(tmp_path_factory):
    return write_pcam(tmp_path_factory.mktemp("pcam") / "files")


@pytest.fixture(scope="module")
def finished(pcam, tmp_path_factory):
    out = tmp_path_factory.mktemp("unified") / "out"
    done = run(pcam, out)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


def test_every_arm_is_tested_on_the_official_test_split(finished):
    out, _ = finished
    results = json.loads((out / "metrics.json").read_text())
    assert set(results["arms"]) == ARMS
    assert sum(results["data"]["patches"]["test"].values()) == PATCHES["test"]
    assert results["arms"]["resnet10_r0_5"]["counts"]["synthetic"]
    assert results["arms"]["vitgan"]["factors"] == {"network": "vitgan"}
    assert results["arms"]["resnet50_cbam"]["training"]["method"] == "resnet50_cbam"


def test_the_first_line_answers_and_the_report_has_the_papers_tables(finished):
    out, done = finished
    headline = json.loads((out / "metrics.json").read_text())["answer"]["headline"]
    assert done.stdout.splitlines()[0] == headline
    assert "unified network" in headline
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Table I: one network and two stages", "paper: 0.945", "Synthetic patches by class"):
        assert words in page


def test_one_training_hands_on_a_generator_and_a_classifier(finished):
    out, _ = finished
    arm = json.loads((out / "vitgan" / "arm.json").read_text())
    assert arm["seeds"] == [0]
    assert (out / "vitgan" / "networks" / "seed-0" / "history.json").is_file()
    networks = json.loads((out / "metrics.json").read_text())["networks"]
    assert {"source_fake", "s_real", "s_synthetic", "ce_real", "ce_synthetic"} <= set(networks["vitgan"]["0"]["curves"])


def test_the_same_command_takes_everything_over(finished, pcam):
    out, _ = finished
    done = run(pcam, out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search("^(train|select|evaluate)", done.stderr, re.MULTILINE)
    assert "Join the classifiers: result reused" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("train_generator.vitgan.confidence", 1.0, "confidence"),
        ("train_generator.vitgan.z_dim", 21, "'z_dim' is 21"),
        ("networks", "[medvitgan]", "add 'vitgan'"),
        ("train_classifier.backbone", "vit_b_16", "leave it out of the overrides"),
        ("preprocess.control_share", 0.25, "'control_share' is 0.0 as a parameter and 0.25 among the overrides"),
    ],
)
def test_wrong_settings_are_refused_before_the_first_step(pcam, tmp_path, capsys, setting, value, sentence):
    done = call(capsys, *arguments(pcam, tmp_path / "out", **{setting: value}))
    assert done.code == 2, done.err[-2000:]
    *before, last = done.err.splitlines()
    assert sentence in last
    assert not any(line.startswith("preprocess") for line in before)
