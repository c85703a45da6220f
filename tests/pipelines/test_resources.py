"""`resources.assign` in a user's pipeline: plain values, parameters, and both in a loop."""

from pathlib import Path

import pytest
import yaml
from histoforge_components.preprocess.component import preprocess
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines import resources
from kfp import dsl
from kfp.compiler import Compiler

from histoforge.core.errors import SettingsError
from histoforge.steps.step import Task
from histoforge.steps.table import STEPS
from histoforge.tasks.table import TASKS, task_named

ROOT = Path(__file__).resolve().parents[2]

GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
SPOT = {"key": "spot", "operator": "Exists"}
PLAIN = {
    "gpu_count": "2",
    "gpu_type": "nvidia.com/mig-1g.10gb",
    "cpu": "4",
    "memory": "24Gi",
    "node_selector": {"pool": "gpu"},
    "tolerations": [GPU, SPOT],
    "storage_secret": "store",
}


def compiled(pipeline, folder):
    Compiler().compile(pipeline, str(folder / "tiny.yaml"))
    spec, platform = yaml.safe_load_all((folder / "tiny.yaml").read_text(encoding="utf-8"))
    return spec["deploymentSpec"]["executors"], platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def pipeline_with(pool):
    @dsl.pipeline(name="tiny")
    def tiny(source: str):
        cut = preprocess(source=source)
        resources.assign(cut, pool)
        arm = train_classifier(patches=cut.outputs["patches"])
        resources.assign(arm, pool, "Train")

    return tiny


def test_plain_values_set_size_gpu_nodes_and_secret(tmp_path):
    executors, platform = compiled(pipeline_with(resources.Pool(**PLAIN)), tmp_path)
    requests = executors["exec-train-classifier"]["container"]["resources"]
    assert (requests["resourceCpuLimit"], requests["resourceMemoryLimit"]) == ("4", "24Gi")
    assert requests["accelerator"]["resourceCount"] == "2"
    assert requests["accelerator"]["resourceType"] == "nvidia.com/mig-1g.10gb"
    settings = platform["exec-train-classifier"]
    assert settings["nodeSelector"]["nodeSelectorJson"]["runtimeValue"]["constant"] == {"pool": "gpu"}
    assert settings["tolerations"] == [GPU, SPOT]
    assert settings["secretAsEnv"][0]["secretName"] == "store"
    assert "accelerator" not in executors["exec-preprocess"]["container"]["resources"]


def test_the_memory_of_a_size_overrides_the_memory_of_all_tasks(tmp_path):
    pool = resources.Pool(**PLAIN, memory_training="96Gi", cpu_cutting="16")
    executors, _ = compiled(pipeline_with(pool), tmp_path)
    cut, arm = (executors[f"exec-{name}"]["container"]["resources"] for name in ("preprocess", "train-classifier"))
    assert (cut["resourceCpuLimit"], cut["resourceMemoryLimit"]) == ("16", "24Gi")
    assert (arm["resourceCpuLimit"], arm["resourceMemoryLimit"]) == ("4", "96Gi")


def test_parameters_and_plain_values_mix_in_a_loop(tmp_path):
    @dsl.pipeline(name="tiny")
    def tiny(source: str, memory: str = "8Gi"):
        pool = resources.Pool(**{**PLAIN, "memory": memory})
        with dsl.ParallelFor([1, 2]) as seed:
            resources.assign(preprocess(source=source, seed=seed), pool)

    executors, _ = compiled(tiny, tmp_path)
    requests = executors["exec-preprocess"]["container"]["resources"]
    assert requests["resourceMemoryLimit"] == "{{$.inputs.parameters['pipelinechannel--memory']}}"
    assert requests["resourceCpuLimit"] == "4"


def test_every_component_is_registered_once_as_a_step_or_as_a_small_task():
    folders = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert sorted(folders) == sorted([*STEPS, *TASKS])
    assert all(entry.torch for entry in STEPS.values() if entry.gpu)


def test_an_unknown_component_or_size_is_an_error():
    with pytest.raises(SettingsError, match="There is no task 'scan_sauce' \\(did you mean 'scan_source'"):
        task_named("scan-sauce")
    with pytest.raises(ValueError, match="has the size 'huge'"):
        Task(name="x", size="huge")


def test_the_old_name_of_assign_still_works_with_a_notice(tmp_path):
    @dsl.pipeline(name="tiny")
    def tiny(source: str):
        with pytest.warns(DeprecationWarning, match="call resources.assign"):
            resources.place(preprocess(source=source), resources.Pool(**PLAIN))

    assert compiled(tiny, tmp_path)[0]["exec-preprocess"]["container"]["resources"]["resourceCpuLimit"] == "4"


@pytest.mark.parametrize("hours", [1, 72])
def test_the_time_for_retries_includes_all_attempts_and_their_waits(hours):
    assert resources.retry_window(hours) == 3 * (hours * 3600 + 7 * 24 * 3600) + 30 + 60
