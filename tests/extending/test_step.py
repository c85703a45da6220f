"""A step is added by its module, its component and one entry of the registry, as docs/extending.md describes."""

import json
import re
import textwrap

import pytest
import yaml
from docs_examples import CALL, DOCS, run_python, write_example

REGISTER = """
import histoforge.steps, histoforge_components
histoforge.steps.__path__.append({folder!r} + "/steps")
histoforge_components.__path__.append({folder!r} + "/components")
from histoforge.steps.step import Port, Step
from histoforge.steps.table import STEPS
STEPS.register({entry})
"""
PATCHES = """
from pathlib import Path
from textures import write_stripes
folder = Path({folder!r})
write_stripes(folder / "patches")
"""
COMPILE = """
from histoforge_components.thin_patches.component import thin_patches
from histoforge_components.thin_patches.example_pipelines import thin_patches_example
from histoforge_pipelines import resources
from histoforge_pipelines.readme import component_readme
from kfp import dsl
from kfp.compiler import Compiler
folder = Path({folder!r})
(folder / "README.md").write_text(component_readme("thin_patches", thin_patches))
Compiler().compile(thin_patches_example, str(folder / "example.yaml"))

@dsl.pipeline(name="toy")
def toy(patches: str, cores: str = "3"):
    pool = resources.Pool("1", "nvidia.com/gpu", "8", "32Gi", {{}}, [], "store", cpu_cutting=cores)
    data = dsl.importer(artifact_uri=patches, artifact_class=dsl.Dataset)
    resources.assign(thin_patches(patches=data.output), pool, "Thin")

Compiler().compile(toy, str(folder / "toy.yaml"))
"""


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    """Code that registers the step of the docs."""
    folder = tmp_path_factory.mktemp("packages")
    entry = write_example("A step", folder)
    section = DOCS.read_text(encoding="utf-8").partition("## A step\n")[2]
    metadata = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    (folder / "components" / "thin_patches" / "metadata.yaml").write_text(textwrap.dedent(metadata[1]))
    return REGISTER.format(folder=str(folder), entry=entry)


def test_help_lists_the_command_and_its_parameters(register):
    assert "thin-patches" in run_python(f"{register}{CALL}call('--help')")
    text = " ".join(run_python(f"{register}{CALL}call('thin-patches', '--help')").split())
    assert "Keep a random part of a patch set." in text
    assert re.search(r"--fraction .*fraction of the patches to keep", text)
    assert "--patches" in text


def test_the_command_runs_and_writes_its_output_and_its_summary(register, tmp_path):
    arguments = "call('thin-patches', '--patches', folder / 'patches', '--out', folder / 'thin', '--fraction', 0.25)"
    output = run_python(f"{register}{CALL}{PATCHES.format(folder=str(tmp_path))}{arguments}")
    counts = json.loads((tmp_path / "thin" / "patchset.json").read_text())["counts"]
    kept = sum(sum(classes.values()) for classes in counts.values())
    assert json.loads(output) == {"patches": kept}
    assert 0 < kept < 64


def test_its_component_gets_image_resources_and_readme_from_the_entry(register, tmp_path):
    run_python(f"{register}from pathlib import Path{COMPILE.format(folder=str(tmp_path))}")
    readme = (tmp_path / "README.md").read_text()
    assert "| `fraction` | fraction of the patches to keep | 0 < x <= 1; default: 0.5 |" in readme
    assert "def thin_patches_example(" in readme
    spec, platform = yaml.safe_load_all((tmp_path / "toy.yaml").read_text())
    container = spec["deploymentSpec"]["executors"]["exec-thin-patches"]["container"]
    assert "histoforge-slim" in container["image"]
    assert container["resources"]["resourceCpuLimit"] == "{{$.inputs.parameters['pipelinechannel--cores']}}"
    assert "accelerator" not in container["resources"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-thin-patches"]
    assert settings["activeDeadlineSeconds"] == "7200"
    assert spec["root"]["dag"]["tasks"]["thin-patches"]["taskInfo"]["name"] == "Thin"


def test_the_body_of_its_component_runs_it_under_its_label(register, tmp_path):
    run = """
from histoforge_components.thin_patches.component import thin_patches
from kfp import dsl
def artifact(kind, name):
    return kind(name=name, uri=str(folder / name))
outputs = dict(thinned=artifact(dsl.Dataset, "thinned"), metrics=artifact(dsl.Metrics, "metrics"))
thin_patches.python_func(
    patches=artifact(dsl.Dataset, "patches"), summary=artifact(dsl.Markdown, "summary"), seed=0, **outputs
)
print(outputs["thinned"].metadata["seed"], outputs["metrics"].metadata["patches"])
from histoforge.tasks.step_task import task_label
print(task_label(STEPS["thin_patches"], {"seed": 0}), task_label(STEPS["thin_patches"], {"seed": -1}), sep="|")
"""
    lines = run_python(f"{register}{PATCHES.format(folder=str(tmp_path))}{run}").splitlines()
    assert re.fullmatch(r"0 [0-9]+\.0", lines[-2])
    assert lines[-1] == "thin_patches seed 0|thin_patches"
