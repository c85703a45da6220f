"""docs/airgap.md names every image that anything of ours runs, and parameters that there are."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from histoforge.steps.table import STEPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "airgap.md").read_text(encoding="utf-8")
IMAGE = re.compile(r"\bimage: (\S+)")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def test_every_image_of_manifests_components_and_pipelines_is_listed():
    files = [*ROOT.glob("manifests/**/*.yaml"), *ROOT.glob("components/*/*.yaml"), *ROOT.glob("pipelines/*.yaml")]
    images = {image for path in files for image in IMAGE.findall(path.read_text(encoding="utf-8"))}
    listed = set(re.findall(r"^\| `([^`]+:[^`]+)` \|", PAGE, re.MULTILINE))
    (base,) = re.findall(r"^ARG BASE=(\S+)", (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert images | {base} == listed


def test_one_variable_moves_every_image_to_the_mirror(tmp_path):
    command = [sys.executable, "-m", "histoforge_pipelines.compile", "--out", str(tmp_path)]
    environment = {**os.environ, "HISTOFORGE_REGISTRY": "mirror.example:5000/team", "HISTOFORGE_IMAGE": ""}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    names = [path.relative_to(ROOT) for path in ROOT.glob("manifests/**/*.yaml")]
    assert [name for name in names if not (tmp_path / name).is_file()] == []
    images = {image for path in tmp_path.rglob("*.yaml") for image in IMAGE.findall(path.read_text(encoding="utf-8"))}
    assert {image.rpartition("/")[0] for image in images} == {"mirror.example:5000/team"}
    assert len(images) == 3


def test_parameters_for_weights_are_there():
    rows = re.findall(r"^\| `(\w+)\.(\w+)`, `\.(\w+)` \|", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for step, *names in rows:
        assert set(names) <= set(STEPS[step].config_class.model_fields), step
