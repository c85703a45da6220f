"""Each component's folder has the form of kubeflow/pipelines-components: metadata, owners, examples that compile."""

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from conventions import Metadata, Owners
from kfp.compiler import Compiler
from kfp.dsl.base_component import BaseComponent
from pydantic import ValidationError

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
FILES = {
    "__init__.py",
    "component.py",
    "component.yaml",
    "example_pipelines.py",
    "metadata.yaml",
    "OWNERS",
    "README.md",
}


def read(path):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_a_component_has_all_files_and_its_metadata_the_form(name):
    assert {path.name for path in (ROOT / "components" / name).iterdir()} >= FILES
    metadata = Metadata.model_validate(read(f"components/{name}/metadata.yaml"))
    assert metadata.name == name
    assert metadata.tags
    documentation = metadata.links["documentation"].partition("/blob/main/")[2]
    assert (ROOT / documentation).is_file(), documentation
    Owners.model_validate(read(f"components/{name}/OWNERS"))


@pytest.mark.parametrize("folder", [".", "pipelines"])
def test_the_other_folders_have_owners(folder):
    assert Owners.model_validate(read(f"{folder}/OWNERS")).approvers


@pytest.mark.parametrize("name", NAMES)
def test_the_example_pipelines_compile_and_use_the_component(name, tmp_path):
    module = import_module(f"histoforge_components.{name}.example_pipelines")
    pipelines = [
        value for key, value in vars(module).items() if isinstance(value, BaseComponent) and key.endswith("_example")
    ]
    assert pipelines
    for pipeline in pipelines:
        target = tmp_path / f"{pipeline.name}.yaml"
        Compiler().compile(pipeline, str(target))
        executors = read(target)["deploymentSpec"]["executors"].values()
        functions = [executor["container"]["args"][-1] for executor in executors if "container" in executor]
        assert name in functions


def test_a_readme_shows_the_example():
    readme = (ROOT / "components" / "find_news" / "README.md").read_text(encoding="utf-8")
    assert "def find_news_example(" in readme
    assert "- **Stability**: beta" in readme


GOOD = """
name: x
stability: beta
dependencies: {kubeflow: [{name: Pipelines, version: ">=2.17.0"}]}
lastVerified: 2026-11-21T00:00:00Z
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stability: beta", "stability: good"),
        (">=2.17.0", ">=2.17"),
        ("name: Pipelines", "name: Trainer"),
        ("lastVerified: 2026-11-21T00:00:00Z", "lastVerified: 2026-11-21"),
        ("name: x\nstability: beta", "stability: beta\nname: x"),
        ("name: x", "name: x\ntitle: an X"),
        ("name: x", "name: x\nci: {skip_tests: true}"),
    ],
)
def test_another_form_is_refused(old, new):
    metadata = Metadata.model_validate(yaml.safe_load(GOOD))
    assert metadata.verified_within_a_year(datetime(2027, 11, 20, tzinfo=UTC))
    assert not metadata.verified_within_a_year(datetime(2027, 11, 22, tzinfo=UTC))
    assert old in GOOD
    with pytest.raises(ValidationError):
        Metadata.model_validate(yaml.safe_load(GOOD.replace(old, new)))
