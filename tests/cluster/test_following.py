"""`histoforge submit` while it follows a run: tasks by their titles, and why one failed."""

import pytest
import yaml
from command_line import call
from s3_server import serve_s3, use
from tiny_pipeline import in_kubernetes, write_pipeline

from histoforge.cluster.logs import driver_sentence, last_sentence, pod_reason
from histoforge.cluster.packages import open_package, package_names
from histoforge.cluster.tasks import Watch, tasks_of

SENTENCE = "There is nothing at s3://b/slides: correct the location, or put files there."
TASK = f"""I1121 13:00:00.000000      12 main.go:104] Setting log level to: '1'
[KFP Executor 2026-11-21 13:00:01,000 INFO]: Looking for component `preprocess` in --component_module_path
{SENTENCE}
"""
LAUNCHER = """E1121 13:00:02.000000      12 launcher_v2.go:384] Component failed to execute successfully: exit status 2
I1121 13:00:02.000000      12 launcher_v2.go:812] Uploading artifact executor-logs
I1121 13:00:02.100000      12 object_store.go:1] uploaded: {
  "uri": "s3://b/artifacts"
}
I1121 13:00:02.200000      12 launcher_v2.go:208] publish success.
F1121 13:00:02.300000      12 main.go:97] failed to execute component: exit status 2
time=2026-11-21T13:00:02.400Z level=INFO msg="sub-process exited" argo=true error="exit status 1"
Error: exit status 1
"""
DRIVER = """I1121 13:00:00.000000      12 main.go:104] Setting log level to: '1'
F1121 13:00:02.300000      12 main.go:79] KFP driver: driver.Container(...) failed: parent DAG does not have input guide
time=2026-11-21T13:00:02.400Z level=INFO msg="sub-process exited" argo=true error="exit status 1"
"""


@pytest.mark.parametrize("log", [TASK + LAUNCHER, TASK, TASK + LAUNCHER[:-20]])
def test_the_last_sentence_of_a_task_comes_before_the_lines_of_the_launcher(log):
    assert last_sentence(log) == SENTENCE


def test_an_empty_log_has_no_sentence():
    assert last_sentence(LAUNCHER) == last_sentence("") == driver_sentence("") == ""


def test_a_driver_is_quoted_without_the_place_in_its_code():
    assert driver_sentence(DRIVER).startswith("KFP driver: driver.Container(...) failed: parent DAG does not have")


def test_a_pod_killed_for_memory_has_that_reason():
    ended = {"name": "main", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    assert "raise the parameter 'memory'" in pod_reason({"status": {"containerStatuses": [ended]}})
    assert "Evicted (disk)" in pod_reason({"status": {"reason": "Evicted", "message": "disk"}})


class Node:
    def __init__(self, name, state, identity=""):
        self.display_name, self.state, self.task_id, self.start_time = name, state, identity or name, None


LOOPED = """
root: {dag: {tasks: {
  for-loop-2: {taskInfo: {name: Other rules}, componentRef: {name: comp-loop}, parameterIterator: {}},
  scan: {taskInfo: {name: Check the source}, componentRef: {name: comp-scan}}}}}
components:
  comp-loop: {dag: {tasks: {train: {taskInfo: {name: Train}, componentRef: {name: comp-train}}}}}
  comp-train: {executorLabel: exec-train}
  comp-scan: {executorLabel: exec-scan}
"""


def test_inner_nodes_are_left_out_and_loops_are_numbered():
    watch = Watch(tasks_of(yaml.safe_load(LOOPED)))
    names = ["w-x7", "root-driver", "root", "scan-driver", "executor", "executor(0)", "for-loop-2", "iteration-driver"]
    inner = [Node(name, "RUNNING") for name in names]
    nodes = [*inner, Node("scan", "SUCCEEDED"), Node("train", "RUNNING", "a"), Node("train", "RUNNING", "b")]
    reported = [(event.title, event.state) for event in watch.events(nodes)]
    assert reported == [("Check the source", "SUCCEEDED"), ("Train (1)", "RUNNING"), ("Train (2)", "RUNNING")]
    (event,) = watch.events([*nodes[:-1], Node("train", "SUCCEEDED", "b")])
    assert (event.title, event.state) == ("Train (2)", "SUCCEEDED")
    assert watch.events(nodes[:-1]) == []


def test_a_driver_that_fails_is_its_task_failing():
    watch = Watch(tasks_of(yaml.safe_load(LOOPED)))
    nodes = [Node("scan-driver", "FAILED"), Node("scan", "RUNTIME_STATE_UNSPECIFIED"), Node("for-loop-2", "FAILED")]
    (event,) = watch.events(nodes)
    assert (event.title, event.state, event.node) == ("Check the source", "FAILED", "scan-driver")


@pytest.mark.parametrize("name", package_names())
def test_every_task_of_our_pipelines_has_a_title(name):
    spec = yaml.safe_load(open_package(name).path.read_text(encoding="utf-8").split("\n---\n")[0])
    running = {key: task for key, task in tasks_of(spec).items() if task.runs}
    assert len(running) == len(spec["deploymentSpec"]["executors"])
    assert not [key for key, task in running.items() if task.title == key]


def pod(run, node, name, log="", phase="Failed", **status):
    return {
        "metadata": {
            "name": name,
            "namespace": "kubeflow",
            "labels": {"pipeline/runid": run},
            "annotations": {"workflows.argoproj.io/node-name": f"tiny-x7.root.{node}"},
        },
        "status": {"phase": phase, **status},
        "log": log,
    }


@pytest.fixture
def submitted(kubeflow, capsys, tmp_path, monkeypatch):
    """Submit a run that fails, with pods as given, and return how it ended."""
    path = write_pipeline(tmp_path)
    call(capsys, "pipelines", "upload", path)

    def submit(*pods, **node_states):
        kubeflow.outcome = "FAILED"
        kubeflow.node_states = node_states
        run = f"run-{kubeflow._count + 2}"  # the experiment comes first
        kubeflow.pods = {entry["metadata"]["name"]: entry for entry in (pod(run, *given) for given in pods)}
        if pods:
            in_kubernetes(kubeflow, tmp_path, monkeypatch)
        done = call(capsys, "submit", path, "--source", "s3://b/slides", "--every", "0", *extra)
        assert run in kubeflow.runs
        return done

    extra = []
    submit.extra = extra
    return submit


@pytest.mark.parametrize("dag", ["preprocess", "preprocess(0)"], ids=["Argo's defaults", "Kubeflow's defaults"])
def test_a_failed_task_is_reported_with_title_sentence_and_log_command(submitted, dag):
    done = submitted(
        (f"{dag}.executor(10)", "tiny-x7-impl-2", TASK + LAUNCHER),
        (f"{dag}.executor(9)", "tiny-x7-impl-1", "an earlier attempt"),
        ("preprocess-driver", "tiny-x7-driver-3", "driver", "Succeeded"),
        ("other.executor(0)", "tiny-x7-impl-4", "of another task"),
    )
    assert done.code == 1
    assert done.err.splitlines() == [
        "Cut patches: running",
        f"Cut patches: failed: {SENTENCE}",
        "    kubectl logs --namespace kubeflow tiny-x7-impl-2 --container main",
        "the run failed",
    ]


def test_a_driver_that_fails_is_quoted(submitted):
    states = {"preprocess-driver": "FAILED", "preprocess": "RUNTIME_STATE_UNSPECIFIED"}
    done = submitted(("preprocess-driver", "tiny-x7-driver-3", DRIVER), **states)
    assert "Cut patches: failed: KFP driver: driver.Container(...) failed: parent DAG" in done.err
    assert "tiny-x7-driver-3 --container main" in done.err


@pytest.mark.parametrize("forbidden", [True, False])
def test_without_a_view_of_the_pods_the_command_finds_them_by_the_run(submitted, kubeflow, forbidden):
    kubeflow.forbids_pods = forbidden
    done = submitted(*([("preprocess.executor(0)", "tiny-x7-impl-1", TASK)] if forbidden else []))
    (run,) = kubeflow.runs
    assert (
        f"    kubectl logs --namespace kubeflow --selector pipeline/runid={run} --container main --prefix --tail 20"
        in done.err.splitlines()
    )
    assert "Cut patches: failed\n" in done.err


def test_without_the_pod_the_sentence_comes_from_the_store(submitted, kubeflow, tmp_path, monkeypatch):
    with serve_s3(tmp_path / "buckets") as server:
        use(monkeypatch, server.endpoint)
        server.bucket("store")
        run = f"run-{kubeflow._count + 2}"
        for attempt, text in enumerate(["first\n", f"hello\n{SENTENCE}\n"]):
            key = f"artifacts/tiny/{run}/preprocess/3f2a/executor-logs-{attempt}"
            server.store("store", key, text.encode())
        submitted.extra += ["--pipeline-root", "s3://store/artifacts"]
        done = submitted()
    assert f"Cut patches: failed: {SENTENCE}" in done.err
