"""A pipeline is added by its module and one entry of the registry, as docs/extending.md describes."""

import pytest
import yaml
from docs_examples import CALL, run_python, write_example

REGISTER = """
import histoforge_pipelines
histoforge_pipelines.__path__.append({folder!r} + "/pipelines")
from histoforge_pipelines.table import PIPELINES, Pipeline
PIPELINES.register({entry})
"""
COMPILE = """
from pathlib import Path
from histoforge_pipelines.compile import write_pipeline, _interfaces
write_pipeline(PIPELINES["classifiers-only"], Path({folder!r}))
print("pipelines/classifiers_only" in _interfaces()["interfaces"])
"""


@pytest.fixture(scope="module")
def register(tmp_path_factory):
    """Code that registers the pipeline of the docs."""
    folder = tmp_path_factory.mktemp("packages")
    entry = write_example("A pipeline", folder)
    return REGISTER.format(folder=str(folder), entry=entry)


def test_help_lists_it(register):
    code = f"import histoforge.cli\n{register}{CALL}call('run', '--help')"  # the order of the two does not matter
    assert "classifiers-only" in run_python(code)


def test_the_check_of_a_cluster_runs_it(register):
    output = run_python(f"{register}from histoforge.cli.kubeflow.check.checks import CHECKS\nprint(*CHECKS)")
    assert "classifiers-only" in output.split()


@pytest.fixture(scope="module")
def compiled(register, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    assert run_python(register + COMPILE.format(folder=str(folder))) == "True\n"
    return list(yaml.safe_load_all((folder / "pipelines" / "classifiers_only.yaml").read_text()))


def test_it_has_its_own_parameters_and_the_common_ones(compiled):
    inputs = compiled[0]["root"]["inputDefinitions"]["parameters"]
    assert inputs["augmentation"]["description"] == "augmentation of the second arm."
    assert inputs["seeds"]["description"] == "number of classifiers per arm; 0 leaves it to the preset."
    assert inputs["seed"]["defaultValue"] == -1
    assert {"source", "preset", "overrides", "gpu_count", "memory_training", "storage_secret"} <= set(inputs)
    assert [name for name, described in inputs.items() if not described.get("isOptional")] == ["source"]


def test_its_tasks_have_the_resources_of_their_steps(compiled):
    spec, platform = compiled
    assert spec["pipelineInfo"]["displayName"] == "Classifiers of real patches"
    executors = spec["deploymentSpec"]["executors"]
    settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    training = executors["exec-train-classifier"]["container"]["resources"]
    assert training["accelerator"]["resourceCount"].endswith("scan-source-train_classifier_gpus']}}")
    assert training["resourceMemoryLimit"].endswith("memory_for_training']}}")
    assert "accelerator" not in executors["exec-preprocess"]["container"]["resources"]
    assert {label: executor["activeDeadlineSeconds"] for label, executor in settings.items()} == {
        "exec-scan-source": "3600",
        "exec-cut-slides": "86400",
        "exec-preprocess": "86400",
        "exec-train-classifier": "172800",
        "exec-train-classifier-2": "172800",
        "exec-evaluate": "21600",
    }
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks["scan-source"]["cachingOptions"] == {}
    fixed = tasks["scan-source"]["inputs"]["parameters"]["fixed"]["runtimeValue"]["constant"]
    assert fixed == {"train_classifier": {"arm": "baseline", "augmentation": "none"}}
