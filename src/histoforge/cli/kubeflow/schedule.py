"""`histoforge schedule`: make a cluster's recurring runs match the declarations in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoforge import __version__
from histoforge.cli.kubeflow.pausing import EVERY, NOW, WAIT, ActiveRunPolicy, check_no_active_runs, paused

if TYPE_CHECKING:
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.schedules import Change, DeployedRun

FILE = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file of schedules")]
DEFAULT = Path("manifests/recurring_runs.yaml")
NAME = Annotated[str, typer.Argument(metavar="NAME", help="name of the recurring run")]
PRUNE = Annotated[bool, typer.Option("--prune", help="delete recurring runs that are no longer declared")]
_SIGNS = {"create": "+", "replace": "~", "resume": "~", "pause": "~", "nothing": " ", "undeclared": "-"}


def schedule_app() -> typer.Typer:
    """Return the command `schedule` with its subcommands."""
    app = typer.Typer(help="Make the recurring runs on Kubeflow match a file.", no_args_is_help=True)
    for command in (diff, apply, pause, delete):
        app.command()(command)
    return app


def diff(file: FILE = DEFAULT) -> None:
    """Show what 'apply' would change; exits with 1 if there are changes."""
    _, changes, _ = _plan(file)
    for change, _ in changes:
        _show(change)
    if any(change.action not in ("nothing", "undeclared") for change, _ in changes):
        raise typer.Exit(1)


def apply(file: FILE = DEFAULT, prune: PRUNE = False, wait: WAIT = False, now: NOW = False, every: EVERY = 10) -> None:
    """Create, replace, pause and resume recurring runs until they match the file.

    Kubeflow cannot change a recurring run: one that differs is replaced, and deleting the old one would also delete its
    active run. If a run is active, nothing is changed unless --wait or --now is given.
    """
    policy = ActiveRunPolicy(wait, now, every)
    kubeflow, changes, deployed = _plan(file)
    deleted = {
        change.name: [deployed[run_id] for run_id in change.ids]
        for change, _ in changes
        if change.action == "replace" or (change.action == "undeclared" and prune)
    }
    check_no_active_runs(kubeflow, [run for runs in deleted.values() for run in runs], policy)
    for change, pipeline in changes:
        _show(change)
        with paused(kubeflow, deleted.get(change.name, []), policy):
            if change.definition is not None:
                assert pipeline is not None
                kubeflow.create_recurring_run(pipeline, change.definition)
        for run_id in change.ids:
            if change.action in ("resume", "pause"):
                kubeflow.enable(run_id, change.action == "resume")
            elif change.name in deleted:
                kubeflow.delete(run_id)


def pause(name: NAME) -> None:
    """Pause a recurring run; 'apply' resumes it unless the file contains 'enabled: false'."""
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.schedules import runs_named

    kubeflow = KubeflowClient()
    for run in runs_named(kubeflow.recurring_runs(), name):
        kubeflow.enable(run.id, False)
    print(f"{name} paused")


def delete(name: NAME, wait: WAIT = False, now: NOW = False, every: EVERY = 10) -> None:
    """Delete a recurring run; the runs that it started stay in the list.

    Deleting it would also delete its active run: if there is one, nothing is deleted unless --wait or --now is given.
    The recurring run is paused meanwhile, so that it starts no other run.
    """
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.schedules import runs_named

    policy = ActiveRunPolicy(wait, now, every)
    kubeflow = KubeflowClient()
    runs = runs_named(kubeflow.recurring_runs(), name)
    with paused(kubeflow, runs, policy):
        pass
    for run in runs:
        kubeflow.delete(run.id)
    print(f"{name} deleted")


def _plan(
    file: Path,
) -> "tuple[KubeflowClient, list[tuple[Change, tuple[str, str] | None]], dict[str, DeployedRun]]":
    """Return the changes, each with the ids of the pipeline and version to use, and the recurring runs by id.

    This changes nothing yet.
    """
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cli.kubeflow.namespace import check_namespace
    from histoforge.cli.kubeflow.uploads import version_on
    from histoforge.cluster.packages import open_package
    from histoforge.cluster.run_parameters import run_parameters
    from histoforge.cluster.schedules import read_schedules, recurring_run, required_changes

    declared, profiles = [], {}
    for schedule in read_schedules(file):
        package = open_package(schedule.pipeline)
        parameters = run_parameters(package, schedule.profile, schedule.parameters)
        renamed = schedule.model_copy(update={"pipeline": package.name})
        declared.append(recurring_run(renamed, __version__, parameters))
        profiles[schedule.name] = schedule.profile
    kubeflow = KubeflowClient()
    versions = {}
    for run in declared:
        profile = profiles[run.name]
        versions[run.name] = version_on(kubeflow, run.pipeline, run.version, profile)
        check_namespace(kubeflow.namespace, profile, run.parameters, run.pipeline_root)
    deployed = [
        kubeflow.with_names(run) if run.ours and run.definition.name in versions else run
        for run in kubeflow.recurring_runs()
    ]
    changes = [(change, versions.get(change.name)) for change in required_changes(declared, deployed)]
    return kubeflow, changes, {run.id: run for run in deployed}


def _show(change: "Change") -> None:
    print(f"{_SIGNS[change.action]} {change.name}: {change.action} ({change.reason})")
