"""A backbone is added by its module and one entry of the registry, as docs/extending.md describes."""

import json
import re

import pytest
from docs_examples import CALL, run_python, write_example

REGISTER = """
import histoforge.classifiers.backbones
histoforge.classifiers.backbones.__path__.append({package!r})
from histoforge.classifiers.backbones.registry import BACKBONES, BackboneEntry
BACKBONES.register({entry})
"""
TRAIN_AND_SELECT = """
from pathlib import Path
from textures import write_stripes
from untrained_generator import save_generator
folder = Path({folder!r})
write_stripes(folder / "patches", (8, 6), size=32)
save_generator(folder / "generator")
inputs = ["--patches", folder / "patches", "--device", "cpu", "--preset", ""]
tiny = ["--backbone", "plain_net", "--width", 0.25, "--epochs", 1, "--seeds", 1, "--batch-size", 8]
call("train-classifier", *inputs, *tiny, "--out", folder / "baseline")
scoring = ["--extractor", folder / "baseline", "--generator", folder / "generator", "--set", "layers=blocks"]
call("select-samples", *inputs, *scoring, "--out", folder / "selection")
"""


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    """Code that registers the backbone of the docs."""
    folder = tmp_path_factory.mktemp("packages")
    entry = write_example("A backbone", folder)
    return REGISTER.format(package=str(folder / "classifiers" / "backbones"), entry=entry)


def test_help_lists_the_backbone(register):
    text = " ".join(run_python(f"{register}{CALL}call('train-classifier', '--help')").split())
    assert re.search(r"--backbone .*network: resnet10, .* plain_net", text)
    assert re.search(r"--judge-backbone .* plain_net", text)


def test_it_is_trained_and_scores_candidates(register, tmp_path):
    output = run_python(register + CALL + TRAIN_AND_SELECT.format(folder=str(tmp_path)))
    arm = json.loads((tmp_path / "baseline" / "arm.json").read_text())
    assert (arm["method"], arm["config"]["width"]) == ("plain_net", 0.25)
    assert "plain_net (baseline, seed 0)" in output


def test_patches_that_it_cannot_process_are_refused(register, tmp_path):
    code = f"""{register}
from histoforge.classifiers.backbones.registry import find_backbone
from histoforge.core.errors import SettingsError
try:
    find_backbone("plain_net").build("plain_net", (30, 32), {{"stem": "imagenet", "width": 1.0}})
except SettingsError as error:
    print(error)
"""
    assert "multiples of 4 px, and they have 30x32 px" in run_python(code)


def test_the_components_readme_lists_it(register):
    code = f"""{register}
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines.readme import component_readme
print(component_readme("train_classifier", train_classifier))
"""
    readme = run_python(code)
    for parameter in ("backbone", "judge_backbone"):
        assert re.search(rf"\| `{parameter}` \|.*plain_net", readme)
