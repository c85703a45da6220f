"""Delete everything that a check created, recognised by its names, and nothing else."""

import time
from collections.abc import Callable

from histoforge.cli.kubeflow.check.checked_cluster import CheckedCluster
from histoforge.cli.kubeflow.client import ENDED
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.packages import open_package, package_names
from histoforge.core.errors import HistoforgeError

ATTEMPTS = 3
MAX_CHECKS = 120
"""Number of checks on terminated runs before they are deleted although they have not ended."""


def clean(cluster: CheckedCluster) -> list[str]:
    """Delete the schedule, the runs, their experiment, the versions and the objects of a check.

    Returns:
        One sentence per object that could not be deleted; everything else is deleted.
    """
    failures = []
    for step in (_clean_schedules, _clean_runs, _clean_versions, _clean_store):
        try:
            _with_retries(step, cluster)
        except HistoforgeError as error:
            failures.append(str(error))
    return failures


def _with_retries(step: Callable[[CheckedCluster], None], cluster: CheckedCluster) -> None:
    """Run a clean-up step, and repeat it if it fails; each repetition finds what is left by its name."""
    for _ in range(ATTEMPTS - 1):
        try:
            return step(cluster)
        except HistoforgeError:
            time.sleep(cluster.options.every)
    return step(cluster)


def _clean_schedules(cluster: CheckedCluster) -> None:
    for schedule in cluster.kubeflow.recurring_runs():
        if schedule.ours and schedule.definition.name == cluster.scratch:
            cluster.kubeflow.enable(schedule.id, False)
            _end(cluster, "recurring_run_id", schedule.id)
            cluster.kubeflow.delete(schedule.id)


def _clean_runs(cluster: CheckedCluster) -> None:
    experiment = cluster.kubeflow.find_experiment(cluster.scratch)
    if not experiment:
        return
    _end(cluster, "experiment_id", experiment)
    for run in cluster.kubeflow.runs_of("experiment_id", experiment):
        cluster.kubeflow.delete_run(run.run_id)
    cluster.kubeflow.delete_experiment(experiment)


def _end(cluster: CheckedCluster, key: str, value: str) -> None:
    """Terminate the runs that have a value for a key, and wait until their pods are gone."""
    terminated: set[str] = set()
    for _ in range(MAX_CHECKS):
        active = [run for run in cluster.kubeflow.runs_of(key, value) if run.state not in ENDED]
        if not active:
            return
        for run in active:
            if run.state != "CANCELING" and run.run_id not in terminated:
                terminated.add(run.run_id)
                _terminate(cluster, run.run_id)
        time.sleep(cluster.options.every)


def _terminate(cluster: CheckedCluster, run: str) -> None:
    try:
        cluster.kubeflow.terminate(run)
    except ClusterError:
        if cluster.kubeflow.run(run).state not in ENDED:
            raise


def _clean_versions(cluster: CheckedCluster) -> None:
    for name in package_names():
        pipeline = cluster.kubeflow.pipeline(open_package(name).name)
        if not pipeline:
            continue
        versions = cluster.kubeflow.versions(pipeline)
        if cluster.version in versions:
            cluster.kubeflow.delete_version(pipeline, versions.pop(cluster.version).pipeline_version_id)
        if not versions and cluster.kubeflow.description(pipeline) == cluster.mark:
            cluster.kubeflow.delete_pipeline(pipeline)


def _clean_store(cluster: CheckedCluster) -> None:
    location = cluster.location()
    for entry in location.entries():
        location.delete(entry.name)
