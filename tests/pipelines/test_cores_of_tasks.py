"""The share of the cores of one machine that each task of a pipeline has."""

import copy

import pytest
from histoforge_pipelines.table import PIPELINES

from histoforge.cli.run.runner import _prepare


@pytest.fixture
def prepared(monkeypatch):
    """Return a function of the number of folds: the threads of each task, and the iterations at once of each loop."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4")

    def prepare(folds, shards=1):
        spec = copy.deepcopy(PIPELINES["selective-augmentation"].load().pipeline_spec)
        _prepare(spec, folds, shards)
        threads, at_once = {}, {}
        for component in [spec.root, *spec.components.values()]:
            for task in component.dag.tasks.values():
                executor = spec.components[task.component_ref.name].executor_label
                if executor:
                    container = spec.deployment_spec["executors"][executor]["container"]
                    threads[task.task_info.name] = container["env"][0]["value"]
                else:
                    at_once[task.task_info.name] = task.iterator_policy.parallelism_limit
        return threads, at_once

    return prepare


def test_with_a_single_split_only_arms_of_real_patches_share_the_cores(prepared):
    threads, at_once = prepared(0)
    assert threads.pop("Train with augmentation or held-back patches") == "2"
    assert set(threads.values()) == {"4"}
    assert at_once["Real patches"] == 2
    assert at_once["Generators"] == 1


def test_with_folds_the_tasks_of_two_folds_share_the_cores(prepared):
    threads, at_once = prepared(3)
    assert threads["Train the generator"] == threads["Train with augmentation or held-back patches"] == "2"
    assert threads["Cut patches"] == threads["Evaluate and report"] == "4"
    assert at_once["Real patches"] == at_once["Generators"] == 1


def test_a_single_shard_has_no_task_and_several_have_one_each(prepared):
    assert "Cut a shard" not in prepared(0)[0]
    threads, at_once = prepared(0, shards=2)
    assert threads["Cut a shard"] == "2"
    assert at_once["Shards"] == 16
