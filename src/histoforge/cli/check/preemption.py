"""Kill a training pod long after its start, and check that its retry resumes from the checkpoint."""

import re
import time
from collections.abc import Callable
from typing import Any

from histoforge.cli.check.site import CheckFailed, Site
from histoforge.cli.check.tiny import ENDLESS, SETTINGS
from histoforge.cli.following import look, patiently
from histoforge.cli.kubeflow import ENDED
from histoforge.cli.kubernetes import Kubernetes, Unseen
from histoforge.cli.words import LINES, NODE_NAME, RUN_LABEL
from histoforge.cluster.tasks import split_node
from histoforge.storage.location import Location

TASK = "train-generator"
RESUMED = re.compile(r"goes on after step (\d+)")
_CHECKPOINT = re.compile(r"histogan-[0-9a-f]+/checkpoint-(\d+)-")
"""Matches checkpoints of the generator's training; classifiers that train at the same time use other names."""


def survives_a_killed_pod(site: Site) -> str:
    """A training whose pod is killed resumes from its checkpoint, later than any limit on its retries' backoff."""
    if site.kubernetes is None:
        raise CheckFailed("No kubeconfig leads to the cluster, so that no pod can be killed.")
    checkpoints = site.address("preempted")
    run = site.start("selective-augmentation", checkpoints=checkpoints, overrides={**SETTINGS, **ENDLESS})
    try:
        return _kill_and_watch(site, site.kubernetes, run)
    except Unseen as error:
        raise CheckFailed(f"A pod of '{site.namespace}' cannot be seen or killed ({error}).") from None


def _kill_and_watch(site: Site, kubernetes: Kubernetes, run: str) -> str:
    first = _wait(site, run, "the training to start", lambda: _running(site, kubernetes, run))
    began = time.monotonic()
    _wait(site, run, "a checkpoint", lambda: _last_step(site))
    while (seconds := time.monotonic() - began) < site.options.beyond:
        _see_active(site, run)
        time.sleep(site.options.every)
    killed_after = _last_step(site)
    kubernetes.delete_pod(site.namespace, first["metadata"]["name"])
    second = _wait(site, run, "another attempt", lambda: _running(site, kubernetes, run, first["metadata"]["name"]))
    name = second["metadata"]["name"]
    resumed = _wait(
        site, run, "the retry to go on", lambda: RESUMED.search(kubernetes.log(site.namespace, name, LINES))
    )
    _wait(site, run, "a later checkpoint", lambda: _last_step(site) > killed_after)
    return f"killed after {seconds:.0f} s, went on after step {int(resumed[1])} in {name}"


def _wait(site: Site, run: str, what: str, look_for: Callable[[], Any]) -> Any:
    """Call a function until its result is true, and return that result.

    Raises:
        CheckFailed: if the run ended before, or it took too long.
    """
    began = time.monotonic()
    while True:
        if result := patiently(look_for, site.options.every):
            return result
        _see_active(site, run)
        if time.monotonic() - began > site.options.limit:
            raise CheckFailed(f"The run {run} waited {site.options.limit / 60:.0f} min for {what}.")
        time.sleep(site.options.every)


def _see_active(site: Site, run: str) -> None:
    there = look(site.kubeflow, run, site.options.every)
    if there.state in ENDED:
        raise CheckFailed(f"The run {run} {there.state.lower()}, although its training has no end.")


def _running(site: Site, kubernetes: Kubernetes, run: str, but: str = "") -> dict[str, Any] | None:
    """Return the running pod of the training, unless it is the one named."""
    for pod in kubernetes.pods(site.namespace, f"{RUN_LABEL}={run}"):
        node, _ = split_node(pod["metadata"].get("annotations", {}).get(NODE_NAME, ""))
        is_training = node.endswith(f".{TASK}.executor")
        if is_training and pod.get("status", {}).get("phase") == "Running" and pod["metadata"]["name"] != but:
            return pod
    return None


def _last_step(site: Site) -> int:
    return last_step(site.location("preempted"))


def last_step(location: Location) -> int:
    """Return the step of the generator's last checkpoint below a location; 0 if there is none."""
    matches = (_CHECKPOINT.match(entry.name) for entry in location.entries())
    return max((int(match[1]) for match in matches if match), default=0)
