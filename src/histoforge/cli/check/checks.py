"""The checks. Each is a function of the site that returns a short description of its observation, or raises."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from histoforge_pipelines.table import PIPELINES

from histoforge.cli.check.preemption import survives_a_killed_pod
from histoforge.cli.check.site import CheckFailed, Site
from histoforge.cli.following import patiently
from histoforge.cli.kubeflow import ENDED
from histoforge.cli.kubernetes import Unseen
from histoforge.cli.namespace import check_namespace
from histoforge.storage.writing import check_writable

Check = Callable[[Site], str]
NOTHING = "There is nothing at"
"""The start of a task's sentence if its source does not exist."""
FIRINGS = 2


def reaches_the_cluster(site: Site) -> str:
    """Kubeflow answers, its launcher knows the store, the store takes files, and pods can be seen."""
    site.kubeflow.recurring_runs()
    check_namespace(site.kubeflow.namespace, site.options.profile, {}, site.address("artifacts"))
    check_writable(site.location())
    if site.kubernetes is None:
        raise CheckFailed("No kubeconfig leads to the cluster: pods cannot be seen, and none killed.")
    try:
        site.kubernetes.pods(site.namespace, f"pipeline/runid={site.name}")
    except Unseen as error:
        raise CheckFailed(f"Pods of the namespace '{site.namespace}' cannot be listed ({error}).") from None
    return f"{site.kubeflow.host}, {site.options.store}, namespace {site.namespace}"


def uploads(site: Site) -> str:
    """The cluster accepts every pipeline as a version, and the store holds the images."""
    source = site.source()
    for name in PIPELINES:
        site.uploaded(name)
    return f"{len(PIPELINES)} pipelines as version {site.version}, images at {source}"


def names_a_fault(site: Site) -> str:
    """A missing source ends the run, and the sentence says so."""
    run = site.start("selective-augmentation", source=site.address("nothing-here"))
    state, failed = site.ended("selective-augmentation", run)
    if state != "FAILED":
        raise CheckFailed(f"The run {run} {state.lower()}, although its source does not exist.")
    if NOTHING not in failed:
        raise CheckFailed(f"The run {run} failed, but not with the sentence on its source. {failed}")
    return failed


def runs(name: str) -> Check:
    """Return the check that a pipeline ends well."""

    def check(site: Site) -> str:
        return f"the run {site.run(name)} succeeded"

    check.__doc__ = f"The pipeline {name} ends well."
    return check


def writes_report_and_metrics(site: Site) -> str:
    """Report and metrics of a run can be read from the store."""
    run = site.run("selective-augmentation")
    location = site.location("artifacts", "selective-augmentation", run, "evaluate")
    entries = {entry.name.rpartition("/")[2]: entry.name for entry in location.entries()}
    if missing := {"report", "results"} - set(entries):
        raise CheckFailed(f"{location} lacks {' and '.join(sorted(missing))}.")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("report", "results"):
            location.get(entries[name], Path(folder) / name)
        if "<html" not in (Path(folder) / "report").read_text(encoding="utf-8")[:2000]:
            raise CheckFailed(f"{location}/{entries['report']} is no HTML page.")
        try:
            return str(json.loads((Path(folder) / "results").read_bytes())["answer"]["headline"])
        except (ValueError, KeyError, TypeError):
            raise CheckFailed(f"{location}/{entries['results']} has no answer with a headline.") from None


def fires_twice(site: Site) -> str:
    """A schedule that fires every minute starts two runs, one after the other, and both succeed."""
    site.run("retraining")  # so that the scheduled runs find nothing new and are short
    wanted = site.wanted("retraining", {"source": site.source()})
    every_minute = type(wanted)(**{**vars(wanted), "cron": "0 * * * * *"})
    schedule = site.kubeflow.create_recurring_run(site.uploaded("retraining"), every_minute)
    began = time.monotonic()
    while True:
        scheduled = patiently(lambda: site.kubeflow.runs_of("recurring_run_id", schedule), site.options.every)
        ended = [run for run in scheduled if run.state in ENDED]
        for run in ended:
            if run.state != "SUCCEEDED":
                raise CheckFailed(f"The scheduled run {run.run_id} {run.state.lower()}.")
        if len(ended) >= FIRINGS:
            site.kubeflow.enable(schedule, False)
            return f"{FIRINGS} runs succeeded: {', '.join(run.run_id for run in ended[:FIRINGS])}"
        if time.monotonic() - began > site.options.limit:
            raise CheckFailed(f"{len(ended)} of {FIRINGS} scheduled runs ended in {site.options.limit / 60:.0f} min.")
        time.sleep(site.options.every)


CHECKS: dict[str, Check] = {
    "reach": reaches_the_cluster,
    "upload": uploads,
    "fault": names_a_fault,
    **{name: runs(name) for name in PIPELINES},
    "report": writes_report_and_metrics,
    "schedule": fires_twice,
    "preemption": survives_a_killed_pod,
}
"""The checks by name, in the order in which they run."""
