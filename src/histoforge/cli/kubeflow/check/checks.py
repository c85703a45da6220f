"""The checks. Each is a function of the cluster that returns a short description of its observation, or raises."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from histoforge_pipelines.table import PIPELINES

from histoforge.cli.kubeflow.check.checked_cluster import CheckedCluster, CheckFailed
from histoforge.cli.kubeflow.check.preemption import survives_a_killed_pod
from histoforge.cli.kubeflow.client import ENDED
from histoforge.cli.kubeflow.follow import with_retries
from histoforge.cli.kubeflow.namespace import check_namespace
from histoforge.storage.writing import check_writable
from histoforge.tasks.kubernetes import KubernetesError

Check = Callable[[CheckedCluster], str]
NOTHING = "There is nothing at"
"""The start of a task's error message if its source does not exist."""
FIRINGS = 2
EVERY_MINUTE = "0 * * * * *"


def reaches_the_cluster(cluster: CheckedCluster) -> str:
    """Kubeflow responds, its launcher knows the store, the store is writable, and pods can be listed."""
    cluster.kubeflow.recurring_runs()
    check_namespace(cluster.kubeflow.namespace, cluster.options.profile, {}, cluster.address("artifacts"))
    check_writable(cluster.location())
    if cluster.kubernetes is None:
        raise CheckFailed("There is no kubeconfig for the cluster: pods can be neither listed nor deleted.")
    try:
        cluster.kubernetes.pods(cluster.namespace, f"pipeline/runid={cluster.name}")
    except KubernetesError as error:
        raise CheckFailed(f"Pods of the namespace '{cluster.namespace}' cannot be listed ({error}).") from None
    return f"{cluster.kubeflow.host}, {cluster.options.store}, namespace {cluster.namespace}"


def uploads(cluster: CheckedCluster) -> str:
    """The cluster accepts every pipeline as a version, and the store holds the images."""
    source = cluster.source()
    for name in PIPELINES:
        cluster.uploaded(name)
    return f"{len(PIPELINES)} pipelines as version {cluster.version}, images at {source}"


def reports_a_missing_source(cluster: CheckedCluster) -> str:
    """A missing source ends the run with an error message that names it."""
    run = cluster.start("selective-augmentation", source=cluster.address("nothing-here"))
    state, failed = cluster.wait("selective-augmentation", run)
    if state != "FAILED":
        raise CheckFailed(f"The run {run} {state.lower()}, although its source does not exist.")
    if NOTHING not in failed:
        raise CheckFailed(f"The run {run} failed, but not with the message about its source. {failed}")
    return failed


def runs(name: str) -> Check:
    """Return the check that a pipeline succeeds."""

    def check(cluster: CheckedCluster) -> str:
        return f"the run {cluster.run(name)} succeeded"

    check.__doc__ = f"The pipeline {name} succeeds."
    return check


def writes_report_and_metrics(cluster: CheckedCluster) -> str:
    """Report and metrics of a run can be read from the store."""
    run = cluster.run("selective-augmentation")
    location = cluster.location("artifacts", "selective-augmentation", run, "evaluate")
    entries = {entry.name.rpartition("/")[2]: entry.name for entry in location.entries()}
    if missing := {"report", "results"} - set(entries):
        raise CheckFailed(f"{location} lacks {' and '.join(sorted(missing))}.")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("report", "results"):
            location.get(entries[name], Path(folder) / name)
        if "<html" not in (Path(folder) / "report").read_text(encoding="utf-8")[:2000]:
            raise CheckFailed(f"{location}/{entries['report']} is not an HTML page.")
        try:
            return str(json.loads((Path(folder) / "results").read_bytes())["answer"]["headline"])
        except (ValueError, KeyError, TypeError):
            raise CheckFailed(f"{location}/{entries['results']} contains no answer with a headline.") from None


def fires_twice(cluster: CheckedCluster) -> str:
    """A schedule that fires every minute starts two runs, one after the other, and both succeed."""
    cluster.run("retraining")  # so that the scheduled runs find nothing new and are short
    definition = replace(cluster.definition("retraining", {"source": cluster.source()}), cron=EVERY_MINUTE)
    schedule = cluster.kubeflow.create_recurring_run(cluster.uploaded("retraining"), definition)
    started = time.monotonic()
    while True:
        scheduled = with_retries(lambda: cluster.kubeflow.runs_of("recurring_run_id", schedule), cluster.options.every)
        ended = [run for run in scheduled if run.state in ENDED]
        for run in ended:
            if run.state != "SUCCEEDED":
                raise CheckFailed(f"The scheduled run {run.run_id} {run.state.lower()}.")
        if len(ended) >= FIRINGS:
            cluster.kubeflow.enable(schedule, False)
            return f"{FIRINGS} runs succeeded: {', '.join(run.run_id for run in ended[:FIRINGS])}"
        if time.monotonic() - started > cluster.options.limit:
            raise CheckFailed(
                f"{len(ended)} of {FIRINGS} scheduled runs ended in {cluster.options.limit / 60:.0f} min."
            )
        time.sleep(cluster.options.every)


CHECKS: dict[str, Check] = {
    "reach": reaches_the_cluster,
    "upload": uploads,
    "fault": reports_a_missing_source,
    **{name: runs(name) for name in PIPELINES},
    "report": writes_report_and_metrics,
    "schedule": fires_twice,
    "preemption": survives_a_killed_pod,
}
"""The checks by name, in the order in which they run."""
