"""The components' interfaces: held against the steps' settings, and what each compiled file asks for."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
import yaml
from histoforge_components.image import VERSION, runtime_of

from histoforge.steps.settings import is_given, step_config
from histoforge.steps.table import STEPS
from histoforge.tasks.table import TASKS

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
PLAIN = {"preset", "overrides", "dataset_digest", "test_digest"}
"""Parameters of components that are not settings of a step."""


def component(name):
    return getattr(import_module(f"histoforge_components.{name}.component"), name)


def compiled(path):
    return next(yaml.safe_load_all((ROOT / path).read_text(encoding="utf-8")))


def compiled_files():
    return [
        path.relative_to(ROOT) for path in (*ROOT.glob("components/*/component.yaml"), *ROOT.glob("pipelines/*.yaml"))
    ]


def test_there_is_a_component_for_every_step():
    assert set(NAMES) == {*STEPS, *TASKS}


@pytest.mark.parametrize("name", STEPS)
def test_parameters_agree_with_the_settings(name):
    fields = STEPS[name].config_class.model_fields
    for parameter in inspect.signature(component(name).python_func).parameters.values():
        if parameter.annotation not in (str, int, float, bool) or parameter.name in PLAIN:
            continue
        field = fields[parameter.name]
        kind = plain_type(field.annotation)
        assert parameter.annotation is kind, parameter.name
        if field.is_required():
            assert parameter.default is inspect.Parameter.empty
        elif parameter.default not in (inspect.Parameter.empty, field.default):
            assert not is_given(parameter.name, parameter.default), f"{parameter.name} must be left to the preset"
        assert step_config(STEPS[name], "", {}, {**required(name), parameter.name: empty(parameter)})


def plain_type(annotation):
    """The type that a form has for it: that of its choices, or of what it is where it is given at all."""
    while choices := get_args(annotation):
        annotation = next(choice for choice in choices if choice is not type(None))
    return annotation if isinstance(annotation, type) else type(annotation)


def required(name):
    return {"source": "x"} if name in ("cut_slides", "preprocess") else {}


def empty(parameter):
    return "x" if parameter.default is inspect.Parameter.empty else parameter.default


@pytest.mark.parametrize("name", STEPS)
def test_every_input_and_output_of_the_step_is_there(name):
    spec = component(name).component_spec
    names = {*(spec.inputs or {}), *(spec.outputs or {})}
    ports = {port.name for port in (*STEPS[name].inputs, *STEPS[name].outputs)}
    assert ports - names <= ({"metrics"} if name in ("evaluate", "leaderboard") else set())
    for port in STEPS[name].inputs:
        if not port.many:
            assert spec.inputs[port.name].optional == port.optional, port.name


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_described(name):
    spec = component(name).component_spec
    for key, value in {**(spec.inputs or {}), **(spec.outputs or {})}.items():
        assert value.description, f"{name}: {key}"


@pytest.mark.parametrize("name", NAMES)
def test_the_top_of_the_module_imports_kfp_and_the_standard_library_alone(name):
    tree = ast.parse((ROOT / "components" / name / "component.py").read_text(encoding="utf-8"))
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert modules <= {"kfp", "typing", "histoforge_components"}


@pytest.mark.parametrize("name", NAMES)
def test_the_body_is_an_import_and_a_call(name):
    tree = ast.parse((ROOT / "components" / name / "component.py").read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    kinds = [type(node) for node in function.body[1:]]
    assert kinds in ([ast.ImportFrom, ast.Expr], [ast.ImportFrom, ast.Return])


@pytest.mark.parametrize("path", compiled_files(), ids=str)
def test_compiled_files_use_the_image_of_each_component_and_install_nothing(path):
    specification = compiled(path)
    labels = {
        task["executorLabel"]: name for name, task in specification["components"].items() if "executorLabel" in task
    }
    for label, executor in specification["deploymentSpec"]["executors"].items():
        container = executor["container"]
        function = container["args"][-1]
        assert container["image"] == f"ghcr.io/histoforge/histoforge-{runtime_of(function)}:{VERSION}", labels[label]
        assert "pip install" not in " ".join(container["command"])


def test_generated_files_are_what_their_source_says():
    environment = {"PYTHONHASHSEED": "7", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "histoforge_pipelines.compile", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_has_the_version_of_the_package():
    from histoforge import __version__

    assert __version__ == VERSION


def test_a_component_can_be_loaded_from_its_file():
    from kfp import components

    loaded = components.load_component_from_file(str(ROOT / "components" / "select_samples" / "component.yaml"))
    assert {"patches", "extractor", "rule"} <= set(loaded.component_spec.inputs)
