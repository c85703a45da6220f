"""docs/airgap.md names every image that anything of ours runs, and parameters that there are."""

import re
from pathlib import Path

import yaml

from histoforge.steps.registry import STEPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "airgap.md").read_text(encoding="utf-8")
IMAGE = re.compile(r"\bimage: (\S+)")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def test_every_image_of_manifests_components_and_pipelines_is_listed():
    files = [*ROOT.glob("manifests/**/*.yaml"), *ROOT.glob("components/*/*.yaml"), *ROOT.glob("pipelines/*.yaml")]
    images = {image for path in files for image in IMAGE.findall(path.read_text(encoding="utf-8"))}
    listed = set(re.findall(r"^\| `([^`]+:[^`]+)` \|", PAGE, re.MULTILINE))
    assert images == listed


def test_parameters_for_weights_are_there():
    rows = re.findall(r"^\| `(\w+)\.(\w+)`, `\.(\w+)` \|", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for step, *names in rows:
        assert set(names) <= set(STEPS[step].config_class.model_fields), step
