"""Optional artifacts as a backend hands them over: with an empty schema instead of a type, or not at all.

The driver (kubeflow/pipelines, backend/src/v2/driver/resolve.go) gives an artifact's type as `instanceSchema: ""`,
where kfp's local runner gives a `schemaTitle`; kfp's executor then takes the class from the function's annotation.
"""

import inspect
from importlib import import_module
from typing import Any

import pytest
import yaml
from backend.installation import ROOT
from kfp.dsl.executor import Executor

NAMES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))


def component(name: str) -> Any:
    return getattr(import_module(f"histoforge_components.{name}.component"), name)


def artifact_inputs(name: str) -> dict[str, Any]:
    inputs = component(name).component_spec.inputs or {}
    return {key: spec for key, spec in inputs.items() if spec.type.startswith("system.")}


OPTIONAL = [(name, key) for name in NAMES for key, spec in artifact_inputs(name).items() if spec.optional]


def executor(name: str, given: set[str]) -> Executor:
    """kfp's executor of a component that is given these artifacts."""
    handed = {
        "name": "1",
        "type": {"instanceSchema": ""},
        "uri": "minio://mlpipeline/v2/x/data",
        "metadata": {"n": 3.0},
    }
    artifacts = {key: {"artifacts": [handed]} for key in given}
    executor_input = {"inputs": {"artifacts": artifacts}, "outputs": {"outputFile": "/tmp/executor_output.json"}}
    return Executor(executor_input, component(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_artifact_is_an_object_of_its_class(name):
    inputs = artifact_inputs(name)
    artifacts = executor(name, set(inputs)).input_artifacts
    for key, spec in inputs.items():
        title = spec.type.partition("@")[0]
        (artifact,) = artifacts[key] if spec.is_artifact_list else [artifacts[key]]
        assert artifact.schema_title == title, key
        assert (artifact.path, artifact.metadata) == ("/minio/mlpipeline/v2/x/data", {"n": 3.0})


@pytest.mark.parametrize(("name", "key"), OPTIONAL)
def test_an_optional_artifact_may_be_absent(name, key):
    parameter = inspect.signature(component(name).python_func).parameters[key]
    assert parameter.default is None
    assert executor(name, set()).get_input_artifact(key) is None
    compiled = next(yaml.safe_load_all((ROOT / "components" / name / "component.yaml").read_text(encoding="utf-8")))
    (definition,) = (spec for spec in compiled["components"].values() if "executorLabel" in spec)
    assert definition["inputDefinitions"]["artifacts"][key]["isOptional"] is True
