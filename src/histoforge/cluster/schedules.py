"""Recurring runs declared in a file, and the changes that bring a cluster into line with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from histoforge.cluster.cron import check_cron
from histoforge.cluster.differences import differences
from histoforge.core.documents import read_yaml
from histoforge.core.errors import SettingsError
from histoforge.core.progress import say
from histoforge.core.settings import Settings

MARK = "Kept by 'histoforge schedule apply': change the file that declares it, not this."
"""The description that marks a recurring run as ours; any other run of the same name is left alone."""

Action = Literal["create", "replace", "resume", "pause", "nothing", "undeclared"]
_NO_EFFECT = "no longer has an effect; cron lines are in the cluster's time zone"


class Schedule(Settings):
    """A recurring run."""

    name: str = Field(min_length=1, max_length=120, description="name of the recurring run")
    pipeline: str = Field(min_length=1, description="name of a pipeline, or path of a compiled YAML file")
    cron: str = Field(description="six fields, in the cluster's time zone: second minute hour day month weekday")
    zone: str = Field("", description=_NO_EFFECT)
    version: str = Field("", description="version of the pipeline; '' for the version of this program")
    profile: str = Field("", description="resource profile that sets parameters of the pipeline; '' for none")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of each run")
    experiment: str = Field("histoforge", min_length=1, description="experiment that lists the runs")
    enabled: bool = Field(True, description="false to pause it")
    catch_up: bool = Field(False, description="true to make up for runs that were missed while it was paused")
    at_once: int = Field(1, ge=1, le=10, description="maximum number of concurrent runs")
    service_account: str = Field("", description="service account of the pods; '' for the cluster's default")
    pipeline_root: str = Field("", description="location of the artifacts; '' for the namespace's default")

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, line: str) -> str:
        check_cron(line)
        return line


class Schedules(Settings):
    """The content of a file of schedules."""

    cluster_zone: str = Field("", description=_NO_EFFECT)
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True)
class RecurringRun:
    """The definition of a recurring run, either as it is on the cluster or as it should be.

    Attributes:
        name: name of the recurring run.
        experiment, pipeline, version: their names.
        cron: the cron line, in the cluster's time zone.
        parameters: values as JSON.
        catch_up, at_once, service_account, pipeline_root: as in `Schedule`.
        enabled: True if it is active, False if it is paused.
    """

    name: str
    experiment: str
    pipeline: str
    version: str
    cron: str
    parameters: dict[str, Any]
    catch_up: bool
    at_once: int
    service_account: str
    pipeline_root: str
    enabled: bool


@dataclass(frozen=True)
class DeployedRun:
    """A recurring run on the cluster: its id, True if it is marked as ours (by `MARK`), and its definition."""

    id: str
    ours: bool
    definition: RecurringRun


@dataclass(frozen=True)
class Change:
    """The change required for one name.

    Attributes:
        action: 'replace' creates a new run and deletes those in `ids`, because Kubeflow cannot change one.
        name: name of the recurring run.
        reason: what differs.
        ids: ids of the recurring runs to pause, resume or delete.
        definition: the recurring run to create; None if there is nothing to create.
    """

    action: Action
    name: str
    reason: str
    ids: tuple[str, ...] = ()
    definition: RecurringRun | None = None


def read_schedules(path: Path) -> tuple[Schedule, ...]:
    """Read the schedules that a YAML file declares.

    Raises:
        SettingsError: the file cannot be read, has an unknown name or a wrong value, or declares a name twice.
    """
    content = read_yaml(path, SettingsError, "give a YAML file of schedules")
    if not isinstance(content, dict) or not isinstance(content.get("schedules"), list):
        raise SettingsError(f"{path} declares no schedules: write 'schedules:' and below it a list.")
    schedules = tuple(
        Schedule.make(item if isinstance(item, dict) else {"name": item}) for item in content["schedules"]
    )
    names = [schedule.name for schedule in schedules]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{path} declares '{min(duplicates)}' twice: give each schedule a different name.")
    file = Schedules.make({**content, "schedules": schedules})
    if file.cluster_zone or any(schedule.zone for schedule in schedules):
        say(
            f"{path}: 'zone' and 'cluster_zone' no longer have an effect: Kubeflow runs every cron line in the time "
            "zone of its scheduler, UTC by default."
        )
    return file.schedules


def recurring_run(schedule: Schedule, version: str, parameters: dict[str, Any]) -> RecurringRun:
    """Return the recurring run for a schedule.

    Args:
        schedule: the schedule.
        version: version of the pipeline, used if the schedule names none.
        parameters: checked parameters, including those of the profile.
    """
    return RecurringRun(
        name=schedule.name,
        experiment=schedule.experiment,
        pipeline=schedule.pipeline,
        version=schedule.version or version,
        cron=schedule.cron,
        parameters=parameters,
        catch_up=schedule.catch_up,
        at_once=schedule.at_once,
        service_account=schedule.service_account,
        pipeline_root=schedule.pipeline_root,
        enabled=schedule.enabled,
    )


def required_changes(declared: Sequence[RecurringRun], deployed: Sequence[DeployedRun]) -> list[Change]:
    """Return the changes that the cluster needs; recurring runs of ours that are not declared are only reported.

    Raises:
        SettingsError: a recurring run of a declared name exists that is not ours.
    """
    changes = [_change(run, [other for other in deployed if other.definition.name == run.name]) for run in declared]
    names = {run.name for run in declared}
    for run in deployed:
        if run.ours and run.definition.name not in names:
            changes.append(Change("undeclared", run.definition.name, "no longer declared", (run.id,)))
    return changes


def _change(declared: RecurringRun, deployed: Sequence[DeployedRun]) -> Change:
    """Return the change for one name, given the deployed runs of that name."""
    name = declared.name
    if foreign := [run for run in deployed if not run.ours]:
        raise SettingsError(
            f"There is a recurring run '{name}' ({foreign[0].id}) that histoforge did not create: give the schedule "
            "another name, or delete that recurring run."
        )
    if not deployed:
        return Change("create", name, "does not exist", definition=declared)
    same = [run for run in deployed if not _differences(declared, run.definition)]
    surplus = tuple(run.id for run in deployed if run not in same[:1])
    if not same:
        return Change("replace", name, "; ".join(_differences(declared, deployed[0].definition)), surplus, declared)
    if surplus:
        return Change("replace", name, "exists more than once", surplus)
    if same[0].definition.enabled != declared.enabled:
        action: Action = "resume" if declared.enabled else "pause"
        return Change(action, name, "paused on the cluster" if declared.enabled else "running", (same[0].id,))
    return Change("nothing", name, "as declared", (same[0].id,))


def _differences(declared: RecurringRun, deployed: RecurringRun) -> list[str]:
    old, new = ({key: value for key, value in vars(run).items() if key != "enabled"} for run in (deployed, declared))
    return differences(old, new)


def runs_named(deployed: Sequence[DeployedRun], name: str) -> list[DeployedRun]:
    """Return our recurring runs of a given name.

    Raises:
        SettingsError: there is none.
    """
    runs = [run for run in deployed if run.ours and run.definition.name == name]
    if not runs:
        raise SettingsError(f"histoforge has created no recurring run '{name}': see 'histoforge schedule diff'.")
    return runs
