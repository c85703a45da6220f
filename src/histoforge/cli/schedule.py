"""`histoforge schedule`: make a cluster's recurring runs match the declarations in a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoforge import __version__
from histoforge.cli.holding import EVERY, NOW, WAIT, Policy, held, refuse_active

if TYPE_CHECKING:
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cluster.schedules import Change, Found, Standing

FILE = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file of schedules")]
DEFAULT = Path("manifests/recurring_runs.yaml")
NAME = Annotated[str, typer.Argument(metavar="NAME", help="of the recurring run")]
PRUNE = Annotated[bool, typer.Option("--prune", help="delete what is no longer declared")]
_SIGNS = {"create": "+", "replace": "~", "resume": "~", "pause": "~", "nothing": " ", "undeclared": "-"}


def schedule_app() -> typer.Typer:
    """Return the command `schedule` with its subcommands."""
    app = typer.Typer(help="Make recurring runs on Kubeflow what a file declares.", no_args_is_help=True)
    for command in (diff, apply, pause, delete):
        app.command()(command)
    return app


def diff(file: FILE = DEFAULT) -> None:
    """Say what 'apply' would do; ends with 1 where there is something to do."""
    _, changes, _ = _plan(file)
    for change, _ in changes:
        _tell(change)
    if any(change.action not in ("nothing", "undeclared") for change, _ in changes):
        raise typer.Exit(1)


def apply(file: FILE = DEFAULT, prune: PRUNE = False, wait: WAIT = False, now: NOW = False, every: EVERY = 10) -> None:
    """Create, replace, pause and resume recurring runs until they are as declared.

    Kubeflow cannot change a recurring run: one that differs is replaced, and with a recurring run goes its run in
    progress. While there is one, nothing is changed at all, unless --wait or --now says what to do about it.
    """
    policy = Policy(wait, now, every)
    kubeflow, changes, schedules = _plan(file)
    going = {
        change.name: [schedules[one] for one in change.ids]
        for change, _ in changes
        if change.action == "replace" or (change.action == "undeclared" and prune)
    }
    refuse_active(kubeflow, [schedule for those in going.values() for schedule in those], policy)
    for change, pipeline in changes:
        _tell(change)
        with held(kubeflow, going.get(change.name, []), policy):
            if change.wanted is not None:
                assert pipeline is not None
                kubeflow.create_recurring_run(pipeline, change.wanted)
        for one in change.ids:
            if change.action in ("resume", "pause"):
                kubeflow.enable(one, change.action == "resume")
            elif change.name in going:
                kubeflow.delete(one)


def pause(name: NAME) -> None:
    """Pause a recurring run; 'apply' resumes it unless the file says 'enabled: false'."""
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cluster.schedules import named

    kubeflow = Kubeflow()
    for one in named(kubeflow.recurring_runs(), name):
        kubeflow.enable(one.id, False)
    print(f"{name} paused")


def delete(name: NAME, wait: WAIT = False, now: NOW = False, every: EVERY = 10) -> None:
    """Delete a recurring run; the runs that it started stay in the list.

    Its run in progress would be lost with it: while there is one, the schedule stays, unless --wait or --now says what
    to do about it. The schedule is paused meanwhile, so that no other run starts.
    """
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cluster.schedules import named

    policy = Policy(wait, now, every)
    kubeflow = Kubeflow()
    schedules = named(kubeflow.recurring_runs(), name)
    with held(kubeflow, schedules, policy):
        pass
    for schedule in schedules:
        kubeflow.delete(schedule.id)
    print(f"{name} deleted")


def _plan(file: Path) -> "tuple[Kubeflow, list[tuple[Change, tuple[str, str] | None]], dict[str, Found]]":
    """Return the changes, each with the ids of the pipeline and version to use, and the recurring runs by id.

    This changes nothing yet.
    """
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cli.namespace import check_namespace
    from histoforge.cli.uploads import version_on
    from histoforge.cluster.packages import open_package
    from histoforge.cluster.requests import run_parameters
    from histoforge.cluster.schedules import changes, read_schedules, standing

    said, moment = read_schedules(file), datetime.now(UTC)
    wanted: list[Standing] = []
    for schedule in said.schedules:
        package = open_package(schedule.pipeline)
        parameters = run_parameters(package, schedule.profile, schedule.parameters)
        renamed = schedule.model_copy(update={"pipeline": package.name})
        wanted.append(standing(renamed, __version__, parameters, said.cluster_zone, moment))
    kubeflow = Kubeflow()
    ids = {}
    for schedule, one in zip(said.schedules, wanted, strict=True):
        ids[one.name] = version_on(kubeflow, one.pipeline, one.version, schedule.profile)
        check_namespace(kubeflow.namespace, schedule.profile, one.parameters, one.pipeline_root)
    found = [_named(kubeflow, one, set(ids)) for one in kubeflow.recurring_runs()]
    planned = [(change, ids.get(change.name)) for change in changes(wanted, found)]
    return kubeflow, planned, {schedule.id: schedule for schedule in found}


def _named(kubeflow: "Kubeflow", found: "Found", wanted: set[str]) -> "Found":
    """Return a recurring run with names in place of ids, if it is one to compare."""
    return kubeflow.recurring_run(found) if found.ours and found.standing.name in wanted else found


def _tell(change: "Change") -> None:
    print(f"{_SIGNS[change.action]} {change.name}: {change.action} ({change.why})")
