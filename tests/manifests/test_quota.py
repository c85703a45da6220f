"""The quota of pods, held against what the largest pipeline runs at once."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PIPELINES = sorted(ROOT.glob("pipelines/*.yaml"))
PODS_OF_A_TASK = 2
"""Kubeflow's driver and the launcher with the step itself; the one may still be ending when the other starts."""
RUNS = 3
OTHERS = 20
"""Pods besides runs: Kubeflow Pipelines itself in the namespace `kubeflow`, and what the overlays add."""


def most_at_once(dag, components):
    """Return the most tasks of a DAG that can run at once: the heaviest set of which none waits for another."""
    names = list(dag["tasks"])
    before = {name: set(dag["tasks"][name].get("dependentTasks", [])) for name in names}
    for _ in names:
        before = {name: known.union(*(before[one] for one in known)) for name, known in before.items()}
    weights = {name: weight(task, components) for name, task in dag["tasks"].items()}

    def heaviest(left):
        if not left:
            return 0
        first, *rest = left
        beside = [name for name in rest if first not in before[name] and name not in before[first]]
        return max(weights[first] + heaviest(beside), heaviest(rest))

    return heaviest(names)


def weight(task, components):
    component = components[task["componentRef"]["name"]]
    if "dag" not in component:
        return 1
    return iterations(task) * most_at_once(component["dag"], components)


def iterations(task):
    """Return how many iterations of a loop run at once; 1 for a condition."""
    items = task.get("parameterIterator", {}).get("items")
    if items is None:
        return 1
    limit = task.get("iteratorPolicy", {}).get("parallelismLimit")
    number = len(yaml.safe_load(items["raw"])) if "raw" in items else None
    assert limit or number, "a loop over a task's output runs any number of tasks at once without a limit"
    return min(one for one in (limit, number) if one)


def pods(path):
    spec = next(yaml.load_all(path.read_text(encoding="utf-8"), Loader=LOADER))
    return PODS_OF_A_TASK * most_at_once(spec["root"]["dag"], spec["components"])


def hard():
    return yaml.safe_load((ROOT / "manifests" / "base" / "resource-quota.yaml").read_text())["spec"]["hard"]


def test_pods_that_have_ended_count_for_nothing():
    assert not [name for name in hard() if name.startswith("count/")]


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_several_runs_of_each_pipeline_fit_beside_each_other(path):
    assert int(hard()["pods"]) >= RUNS * pods(path) + OTHERS


def test_the_quota_is_no_larger_than_the_largest_pipeline_asks():
    assert int(hard()["pods"]) < (RUNS + 1) * max(map(pods, PIPELINES)) + OTHERS


def test_nested_loops_multiply_and_chains_do_not():
    assert pods(ROOT / "pipelines" / "rleo.yaml") == PODS_OF_A_TASK * 4 * 4
    assert pods(ROOT / "pipelines" / "retraining.yaml") == PODS_OF_A_TASK * 4 * (2 + 2)
