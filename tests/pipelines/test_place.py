"""`resources.place` in a pipeline of one's own: plain values, parameters, and both in a loop."""

import pytest
import yaml
from histoforge_components.preprocess.component import preprocess
from histoforge_components.train_classifier.component import train_classifier
from histoforge_pipelines import resources
from kfp import dsl
from kfp.compiler import Compiler

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
    Compiler().compile(pipeline, str(folder / "mine.yaml"))
    spec, platform = yaml.safe_load_all((folder / "mine.yaml").read_text(encoding="utf-8"))
    return spec["deploymentSpec"]["executors"], platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def pipeline_with(pool):
    @dsl.pipeline(name="mine")
    def mine(source: str):
        cut = preprocess(source=source)
        resources.place(cut, pool)
        arm = train_classifier(patches=cut.outputs["patches"])
        resources.place(arm, pool, "Train")

    return mine


def test_plain_values_set_size_gpu_nodes_and_secret(tmp_path):
    executors, platform = compiled(pipeline_with(resources.Pool(**PLAIN)), tmp_path)
    asked = executors["exec-train-classifier"]["container"]["resources"]
    assert (asked["resourceCpuLimit"], asked["resourceMemoryLimit"]) == ("4", "24Gi")
    assert asked["accelerator"]["resourceCount"] == "2"
    assert asked["accelerator"]["resourceType"] == "nvidia.com/mig-1g.10gb"
    where = platform["exec-train-classifier"]
    assert where["nodeSelector"]["nodeSelectorJson"]["runtimeValue"]["constant"] == {"pool": "gpu"}
    assert where["tolerations"] == [GPU, SPOT]
    assert where["secretAsEnv"][0]["secretName"] == "store"
    assert "accelerator" not in executors["exec-preprocess"]["container"]["resources"]


def test_a_size_of_its_own_goes_before_the_one_for_all(tmp_path):
    pool = resources.Pool(**PLAIN, memory_training="96Gi", cpu_cutting="16")
    executors, _ = compiled(pipeline_with(pool), tmp_path)
    cut, arm = (executors[f"exec-{name}"]["container"]["resources"] for name in ("preprocess", "train-classifier"))
    assert (cut["resourceCpuLimit"], cut["resourceMemoryLimit"]) == ("16", "24Gi")
    assert (arm["resourceCpuLimit"], arm["resourceMemoryLimit"]) == ("4", "96Gi")


def test_parameters_and_plain_values_mix_in_a_loop(tmp_path):
    @dsl.pipeline(name="mine")
    def mine(source: str, memory: str = "8Gi"):
        pool = resources.Pool(**{**PLAIN, "memory": memory})
        with dsl.ParallelFor([1, 2]) as seed:
            resources.place(preprocess(source=source, seed=seed), pool)

    executors, _ = compiled(mine, tmp_path)
    asked = executors["exec-preprocess"]["container"]["resources"]
    assert asked["resourceMemoryLimit"] == "{{$.inputs.parameters['pipelinechannel--memory']}}"
    assert asked["resourceCpuLimit"] == "4"


def test_every_task_has_a_time_limit_and_a_size():
    assert set(resources.SIZES).isdisjoint(resources.SMALL)
    assert set(resources.SIZES) | resources.SMALL == set(resources.TIME_LIMITS)
    assert set(resources.SIZES) >= resources.ON_GPU


@pytest.mark.parametrize("name", resources.TIME_LIMITS)
def test_the_time_for_retries_holds_all_attempts_and_their_waits(name):
    window = resources.retry_window(name)
    assert window == 3 * (resources.TIME_LIMITS[name] + 7 * 24 * 3600) + 30 + 60
