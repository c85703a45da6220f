"""The check that a training resumes from its checkpoint after its pod was killed."""

import re
import time
from collections.abc import Callable
from typing import Any

from histoforge.cli.kubeflow.check.checked_cluster import CheckedCluster, CheckFailed
from histoforge.cli.kubeflow.check.tiny import ENDLESS, SETTINGS
from histoforge.cli.kubeflow.client import ENDED
from histoforge.cli.kubeflow.failures import LINES, NODE_NAME, RUN_LABEL
from histoforge.cli.kubeflow.follow import get_run, with_retries
from histoforge.cluster.tasks import split_node
from histoforge.storage.location import Location
from histoforge.tasks.kubernetes import Kubernetes, KubernetesError

TASK = "train-generator"
RESUMED = re.compile(r"(?:resumes|goes on) after step (\d+)")
"""The engine's line, in the words of this version or of earlier images."""
_CHECKPOINT = re.compile(r"histogan-[0-9a-f]+/checkpoint-(\d+)-")
"""Matches checkpoints of the generator's training; classifiers that train at the same time use other names."""


def survives_a_killed_pod(cluster: CheckedCluster) -> str:
    """A training whose pod is killed resumes from its checkpoint, later than any limit on its retries' backoff."""
    if cluster.kubernetes is None:
        raise CheckFailed("There is no kubeconfig for the cluster: no pod can be killed.")
    checkpoints = cluster.address("preempted")
    run = cluster.start("selective-augmentation", checkpoints=checkpoints, overrides={**SETTINGS, **ENDLESS})
    try:
        return _kill_and_watch(cluster, cluster.kubernetes, run)
    except KubernetesError as error:
        raise CheckFailed(f"A pod of '{cluster.namespace}' cannot be listed or deleted ({error}).") from None


def _kill_and_watch(cluster: CheckedCluster, kubernetes: Kubernetes, run: str) -> str:
    first = _wait(cluster, run, "the training to start", lambda: _running(cluster, kubernetes, run))
    started = time.monotonic()
    _wait(cluster, run, "a checkpoint", lambda: _last_step(cluster))
    while (seconds := time.monotonic() - started) < cluster.options.beyond:
        _check_active(cluster, run)
        time.sleep(cluster.options.every)
    step_before = _last_step(cluster)
    killed = first["metadata"]["name"]
    kubernetes.delete_pod(cluster.namespace, killed)
    retry = _wait(cluster, run, "another attempt", lambda: _running(cluster, kubernetes, run, except_pod=killed))
    name = retry["metadata"]["name"]
    resumed = _wait(
        cluster, run, "the retry to resume", lambda: RESUMED.search(kubernetes.log(cluster.namespace, name, LINES))
    )
    _wait(cluster, run, "a later checkpoint", lambda: _last_step(cluster) > step_before)
    return f"killed after {seconds:.0f} s, resumed after step {int(resumed[1])} in {name}"


def _wait(cluster: CheckedCluster, run: str, event: str, request: Callable[[], Any]) -> Any:
    """Call a function until its result is true, and return that result.

    Raises:
        CheckFailed: if the run ended before, or it took too long.
    """
    started = time.monotonic()
    while True:
        if result := with_retries(request, cluster.options.every):
            return result
        _check_active(cluster, run)
        if time.monotonic() - started > cluster.options.limit:
            raise CheckFailed(f"The run {run} waited {cluster.options.limit / 60:.0f} min for {event}.")
        time.sleep(cluster.options.every)


def _check_active(cluster: CheckedCluster, run: str) -> None:
    state = get_run(cluster.kubeflow, run, cluster.options.every).state
    if state in ENDED:
        raise CheckFailed(f"The run {run} {state.lower()}, although its training never ends.")


def _running(cluster: CheckedCluster, kubernetes: Kubernetes, run: str, except_pod: str = "") -> dict[str, Any] | None:
    """Return the running pod of the training, other than `except_pod`; None if there is none."""
    for pod in kubernetes.pods(cluster.namespace, f"{RUN_LABEL}={run}"):
        node, _ = split_node(pod["metadata"].get("annotations", {}).get(NODE_NAME, ""))
        is_training = node.endswith(f".{TASK}.executor")
        if is_training and pod.get("status", {}).get("phase") == "Running" and pod["metadata"]["name"] != except_pod:
            return pod
    return None


def _last_step(cluster: CheckedCluster) -> int:
    return last_step(cluster.location("preempted"))


def last_step(location: Location) -> int:
    """Return the step of the generator's last checkpoint below a location; 0 if there is none."""
    matches = (_CHECKPOINT.match(entry.name) for entry in location.entries())
    return max((int(match[1]) for match in matches if match), default=0)
