"""The slim image: its tasks import nothing that it lacks, and its packages are a part of the project's."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from histoforge_components.image import SLIM
from tiny_study import CLASSES, write_images

from histoforge.core.files import write_json
from histoforge.phantom.slides import draw_slides
from histoforge.training.models import ModelInfo, save_arrays

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "images" / "slim" / "requirements.lock"


@pytest.fixture
def inputs(tmp_path):
    write_images(tmp_path / "images", per_class=16, patients=4)
    draw_slides(tmp_path / "slides", patients=4, size_px=512, corrupt=False)
    for name in CLASSES:
        training = {"patches": 4, "steps": 1, "seconds": 1.0, "epochs": 1, "patch_classes": list(CLASSES)}
        info = ModelInfo(
            kind="generator", method="dcgan", config={}, classes=[name], patch_size=(16, 16),
            training={**training, "by_class": {name: {}}},
        )  # fmt: skip

        def add_history(folder, name=name):
            (folder / "pictures").mkdir()
            write_json(folder / "history.json", {"by_class": {name: {}}})

        weights = {"0.weight": np.ones((2, 2), np.float32), "0.count": np.array(3)}
        save_arrays(tmp_path / "members" / name, info, weights, add_history)
    return tmp_path


def test_its_tasks_import_nothing_that_it_lacks(inputs):
    script = Path(__file__).with_name("slim_tasks.py")
    command = [sys.executable, str(script), str(LOCK), str(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"ran": sorted(SLIM), "torch": False}


def packages(path):
    return set(re.findall(r"(?m)^([a-z0-9-]+)", path.read_text(encoding="utf-8")))


def locked(path):
    return set(re.findall(r"(?m)^([a-z0-9-]+==\S+)", path.read_text(encoding="utf-8")))


def test_its_packages_are_the_projects_in_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [*project["dependencies"], *project["optional-dependencies"]["build"]]
    wanted = packages(LOCK.with_name("requirements.in"))
    assert wanted <= {re.split(r"[>=<~]", name)[0] for name in stated}
    assert locked(LOCK) <= locked(ROOT / "requirements.lock")
    assert not {name for name in packages(LOCK) if name.startswith(("torch", "nvidia", "triton", "cuda", "diffusers"))}
