"""The slim image: its tasks import nothing that it lacks, and its packages are a part of the project's."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from slim_tasks_inputs import write_inputs

from histoforge.steps.table import STEPS
from histoforge.tasks.table import TASKS

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "images" / "slim" / "requirements.lock"


@pytest.fixture
def inputs(tmp_path):
    write_inputs(tmp_path)
    return tmp_path


def test_its_tasks_import_nothing_that_it_lacks(inputs):
    script = Path(__file__).with_name("slim_tasks.py")
    command = [sys.executable, str(script), str(LOCK), str(inputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    slim = sorted(entry.name for entry in (*STEPS.values(), *TASKS.values()) if not entry.torch)
    assert json.loads(done.stdout.splitlines()[-1]) == {"ran": slim, "torch": False}


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
