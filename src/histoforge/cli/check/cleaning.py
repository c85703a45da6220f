"""Delete everything that a check created, recognised by its names, and nothing else."""

import time
from collections.abc import Callable

from histoforge.cli.check.site import Site
from histoforge.cli.kubeflow import ENDED
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.packages import open_package, package_names
from histoforge.core.errors import HistoforgeError

ATTEMPTS = 3
LOOKS = 120
"""Number of checks on runs that were told to end, before they are deleted as they are."""


def clean(site: Site) -> list[str]:
    """Delete the schedule, the runs, their experiment, the versions and the objects of a check.

    Returns:
        One sentence for each thing that could not be deleted; everything else is deleted.
    """
    failures = []
    for step in (_clean_schedules, _clean_runs, _clean_versions, _clean_store):
        try:
            _patiently(step, site)
        except HistoforgeError as error:
            failures.append(str(error))
    return failures


def _patiently(step: Callable[[Site], None], site: Site) -> None:
    """Run a cleaning step, and repeat it if it fails; a repetition finds the remains by their names."""
    for _ in range(ATTEMPTS - 1):
        try:
            return step(site)
        except HistoforgeError:
            time.sleep(site.options.every)
    return step(site)


def _clean_schedules(site: Site) -> None:
    for schedule in site.kubeflow.recurring_runs():
        if schedule.ours and schedule.standing.name == site.scratch:
            site.kubeflow.enable(schedule.id, False)
            _end(site, "recurring_run_id", schedule.id)
            site.kubeflow.delete(schedule.id)


def _clean_runs(site: Site) -> None:
    experiment = site.kubeflow.find_experiment(site.scratch)
    if not experiment:
        return
    _end(site, "experiment_id", experiment)
    for run in site.kubeflow.runs_of("experiment_id", experiment):
        site.kubeflow.delete_run(run.run_id)
    site.kubeflow.delete_experiment(experiment)


def _end(site: Site, key: str, value: str) -> None:
    """Terminate the runs that have a value for a key, and wait until their pods are gone."""
    told: set[str] = set()
    for _ in range(LOOKS):
        active = [run for run in site.kubeflow.runs_of(key, value) if run.state not in ENDED]
        if not active:
            return
        for run in active:
            if run.state != "CANCELING" and run.run_id not in told:
                told.add(run.run_id)
                _tell_to_end(site, run.run_id)
        time.sleep(site.options.every)


def _tell_to_end(site: Site, run: str) -> None:
    try:
        site.kubeflow.terminate(run)
    except ClusterError:
        if site.kubeflow.run(run).state not in ENDED:
            raise


def _clean_versions(site: Site) -> None:
    for name in package_names():
        pipeline = site.kubeflow.pipeline(open_package(name).name)
        if not pipeline:
            continue
        versions = site.kubeflow.versions(pipeline)
        if site.version in versions:
            site.kubeflow.delete_version(pipeline, versions.pop(site.version).pipeline_version_id)
        if not versions and site.kubeflow.description(pipeline) == site.mark:
            site.kubeflow.delete_pipeline(pipeline)


def _clean_store(site: Site) -> None:
    location = site.location()
    for entry in location.entries():
        location.delete(entry.name)
