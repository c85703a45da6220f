"""Disks that are full or read-only, and terminals that know only ASCII: one sentence, and nothing half written."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call, program
from small_disk import mounted_small_disk
from tiny_guide import CLASSES, noise, save_random_guide

from histoforge.patches import PatchSetWriter

TINY = ("--preset", "", "--epochs", "1", "--batch-size", "4")
COMMANDS = {
    "train-classifier": (*TINY, "--backbone", "resnet10", "--stem", "small", "--width", "0.125", "--seeds", "1"),
    "train-generator": (
        *TINY,
        "--method",
        "dcgan",
        "--epoch-steps",
        "1",
        "--set",
        "train_generator.dcgan.generator_maps=8",
        "--set",
        "train_generator.dcgan.discriminator_maps=8",
    ),
    "finetune-snn": (
        "--preset",
        "",
        "--no-stage1",
        "--width",
        "0.125",
        "--stage2-epochs",
        "1",
        "--stage2-epoch-steps",
        "1",
        "--batch-size",
        "4",
        "--checked-pairs",
        "20",
    ),
}


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disks") / "patches"
    rows = np.arange(24)
    splits = np.array(["train", "train", "val", "test"], dtype=object)[rows // 2 % 4]
    with PatchSetWriter.create(folder, CLASSES, (32, 32), 0.5) as writer:
        patients = [f"p{row // 2}" for row in rows]
        writer.add(noise(24, 0), label=rows % 2, patient=patients, slide=patients, mpp=0.5)
        writer.finish({"step": "test", "config": {}}, split=splits)
    return folder


@pytest.mark.parametrize("size", ["16k", "64k", "128k"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_ends_a_training_with_a_sentence(capsys, tmp_path, patches, command, size):
    with mounted_small_disk(tmp_path / "disk", size) as disk:
        ended = call(capsys, command, "--patches", patches, "--out", disk / "out", *COMMANDS[command])
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert ended.err.splitlines()[-1].startswith("The disk is full")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_disk_is_a_sentence(capsys, tmp_path, patches, command):
    with mounted_small_disk(tmp_path / "disk", "1m,ro") as disk:
        ended = call(capsys, command, "--patches", patches, "--out", disk / "out", *COMMANDS[command])
    assert ended.code == 2
    assert "Read-only file system" in ended.err.splitlines()[-1]


def test_a_full_disk_in_a_pod_is_a_sentence(tmp_path):
    body = "from pathlib import Path; Path({!r}).write_bytes(bytes(9 << 20))"
    code = f"from histoforge.tasks.task_process import task_process\nwith task_process('preprocess'):\n    {body}"
    with mounted_small_disk(tmp_path / "disk") as disk:
        script = code.format(str(disk / "a"))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "The disk is full: free some space and run it again.\n")


def test_an_ascii_terminal_ends_no_command(tmp_path):
    save_random_guide(tmp_path / "gui\N{LATIN SMALL LETTER E WITH ACUTE}")
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    for name in ("gui\N{LATIN SMALL LETTER E WITH ACUTE}", "\N{SNOWMAN}"):
        done = subprocess.run(
            [program(), "inspect", tmp_path / name], capture_output=True, check=False, env=environment
        )
        assert done.returncode in (0, 2)
        assert b"Traceback" not in done.stderr
        assert done.stdout.isascii()
        assert done.stderr.isascii()
    assert b"\\" in done.stderr
