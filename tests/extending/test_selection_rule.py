"""A selection rule is added by its function and one entry of the registry, as docs/extending.md describes."""

import json
import re

import pytest
from docs_examples import CALL, run_python, write_example

REGISTER = """
import histoforge.selection
histoforge.selection.__path__.append({package!r})
from histoforge.selection.rules import RULES, Rule
RULES.register({entry})
"""
SELECT = """
from pathlib import Path
from textures import write_stripes
from untrained_generator import save_generator
folder = Path({folder!r})
write_stripes(folder / "patches", (8, 6), size=32)
save_generator(folder / "generator")
inputs = ["--patches", folder / "patches", "--device", "cpu", "--preset", ""]
tiny = ["--backbone", "resnet10", "--width", 0.125, "--epochs", 1, "--seeds", 1, "--batch-size", 8]
call("train-classifier", *inputs, *tiny, "--out", folder / "baseline")
scoring = ["--extractor", folder / "baseline", "--generator", folder / "generator", "--rule", "uncertain"]
call("select-samples", *inputs, *scoring, "--out", folder / "selection")
from histoforge.patches import PatchSet
pool = PatchSet.open(folder / "selection" / "pool").index
print(pool[["label", "entropy", "kept"]].to_json(orient="records"))
"""


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    """Code that registers the rule of the docs."""
    folder = tmp_path_factory.mktemp("packages")
    entry = write_example("A selection rule", folder)
    return REGISTER.format(package=str(folder / "selection"), entry=entry)


def test_help_lists_the_rule(register):
    text = " ".join(run_python(f"{register}{CALL}call('select-samples', '--help')").split())
    assert re.search(r"--rule .*confidence\W+uncertain", text)
    assert "'uncertain': high entropy first" in text


def test_it_selects_and_the_summary_names_it(register, tmp_path):
    output = run_python(register + CALL + SELECT.format(folder=str(tmp_path))).splitlines()
    assert '"rule": "uncertain"' in (tmp_path / "selection" / "selected" / "patchset.json").read_text()
    assert any("uncertain" in line for line in output[:-1])
    pool = json.loads(output[-1])
    for label in (0, 1):
        kept, others = ([c["entropy"] for c in pool if (c["label"], c["kept"]) == (label, k)] for k in (True, False))
        assert min(kept) >= max(others)


def test_the_components_readme_and_the_report_describe_it(register):
    code = f"""{register}
from histoforge_components.select_samples.component import select_samples
from histoforge_pipelines.readme import component_readme
print(component_readme("select_samples", select_samples))
"""
    readme = run_python(code)
    assert re.search(r"\| `rule` \|.*'uncertain': high entropy first.*confidence, uncertain; default", readme)


def test_an_unknown_rule_is_refused_with_the_known_ones(register):
    code = f"""{register}
from histoforge.core.errors import SettingsError
from histoforge.steps.select_samples_config import SelectSamplesConfig
try:
    SelectSamplesConfig.make({{"rule": "certain"}})
except SettingsError as error:
    print(error)
"""
    assert "'uncertain'" in run_python(code)
