"""`submit --profile` without a queue warns of tasks that no node has room for."""

import pytest
from command_line import call
from histoforge_pipelines.profiles import PROFILES
from tiny_pipeline import in_kubernetes, write_pipeline

from histoforge.cluster.nodes import capacity_warning

TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def node(cpu="16", memory="64Gi", gpus="0", labels=None, **spec):
    allocatable = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": gpus}
    return {"metadata": {"labels": labels or {}}, "spec": spec, "status": {"allocatable": allocatable}}


def parameters(name="gpu", **more):
    return {**PROFILES[name].parameters, **more}


def test_a_node_that_is_large_enough_causes_no_warning():
    assert capacity_warning([node("15890m", "65000000Ki", "1", taints=[TAINT]), node()], parameters()) == ""
    assert capacity_warning([node("4", "16Gi")], parameters("small")) == ""


def test_the_default_size_on_small_nodes_is_named_with_the_largest():
    sentence = capacity_warning([node("4", "15Gi", "1"), node("2", "8Gi")], parameters())
    assert "this run, which requests 8 cpu, 32Gi memory: the largest has 4 cpu, 15Gi memory. " in sentence


def test_too_few_gpus_on_each_node_are_named():
    sentence = capacity_warning([node(cpu="64", memory="256Gi", gpus="2")] * 4, parameters("multi-gpu"))
    assert "requests 4 nvidia.com/gpu, 32 cpu, 128Gi memory: the largest has 2 nvidia.com/gpu" in sentence


@pytest.mark.parametrize(
    ("more", "spec", "fits"),
    [
        ({}, {"labels": {"pool": "a"}}, True),
        ({"node_selector": {"pool": "b"}}, {"labels": {"pool": "a"}}, False),
        ({}, {"taints": [{"key": "spot", "effect": "NoSchedule"}]}, False),
        (
            {"tolerations": [{"key": "spot", "operator": "Exists"}]},
            {"taints": [{"key": "spot", "effect": "NoSchedule"}]},
            True,
        ),
        ({}, {"taints": [{"key": "spot", "effect": "PreferNoSchedule"}]}, True),
        ({}, {"unschedulable": True}, False),
    ],
)
def test_labels_and_taints_decide_which_nodes_count(more, spec, fits):
    nodes = [node(), node(gpus="1", **spec)]
    assert (capacity_warning(nodes, parameters(**more)) == "") is fits


def test_a_size_of_one_kind_of_task_counts_for_that_kind():
    nodes = [node(gpus="1")]
    assert "requests 1 nvidia.com/gpu, 8 cpu, 96Gi memory" in capacity_warning(
        nodes, parameters(memory_training="96Gi")
    )
    assert "requests 32 cpu, 32Gi memory" in capacity_warning(nodes, parameters(cpu_cutting="32"))


@pytest.mark.parametrize(("profile", "warned"), [("small", False), ("gpu", True)])
def test_submit_warns_and_starts_the_run(kubeflow, capsys, tmp_path, monkeypatch, profile, warned):
    path = write_pipeline(tmp_path)
    call(capsys, "pipelines", "upload", path)
    in_kubernetes(kubeflow, tmp_path, monkeypatch)
    kubeflow.kubernetes["/api/v1/nodes"] = {"items": [node("8", "32Gi")]}
    done = call(capsys, "submit", path, "--source", "s3://b/slides", "--profile", profile, "--no-follow")
    assert (done.code, "No node has room for a task of this run" in done.err) == (0, warned), done.err
    assert len(kubeflow.runs) == 1
