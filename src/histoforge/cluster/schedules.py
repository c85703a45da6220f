"""Recurring runs declared in a file, and the changes that bring a cluster into line with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from histoforge.cluster.cron import check_cron, in_cluster_zone, zone_named
from histoforge.cluster.differences import differences
from histoforge.core.documents import read_yaml
from histoforge.core.errors import SettingsError
from histoforge.core.settings import Settings

MARK = "Kept by 'histoforge schedule apply': change the file that declares it, not this."
"""The description that marks a recurring run as ours; any other run of the same name is left alone."""

Action = Literal["create", "replace", "resume", "pause", "nothing", "undeclared"]


class Schedule(Settings):
    """A recurring run."""

    name: str = Field(min_length=1, max_length=120, description="of the recurring run")
    pipeline: str = Field(min_length=1, description="name of a pipeline, or path of a compiled YAML file")
    cron: str = Field(description="six fields: second minute hour day month weekday")
    zone: str = Field("UTC", description="time zone that the line is in, such as 'Europe/Berlin'")
    version: str = Field("", description="version of the pipeline; '' for the one of this program")
    profile: str = Field("", description="resource profile that fills in the parameters it has; '' for none")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of each run")
    experiment: str = Field("histoforge", min_length=1, description="experiment that the runs are listed in")
    enabled: bool = Field(True, description="whether it runs")
    catch_up: bool = Field(False, description="whether runs missed while it was paused are made up for")
    at_once: int = Field(1, ge=1, le=10, description="runs at the same time")
    service_account: str = Field("", description="service account of the pods; '' for the cluster's default")
    pipeline_root: str = Field("", description="where artifacts go; '' for the namespace's default")

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, line: str) -> str:
        check_cron(line)
        return line

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        zone_named(name)
        return name


class Schedules(Settings):
    """The content of a file of schedules."""

    cluster_zone: str = Field("UTC", description="'cronScheduleTimezone' of the cluster")
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True)
class Standing:
    """A recurring run, either as it is on the cluster or as it should be.

    Attributes:
        name: name of the recurring run.
        experiment, pipeline, version: their names.
        cron: the cron line, in the cluster's zone.
        parameters: values as JSON.
        catch_up, at_once, service_account, pipeline_root: as in `Schedule`.
        enabled: whether the recurring run is active.
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
class Found:
    """A recurring run on the cluster: its id, whether it is marked as ours (by `MARK`), and its definition."""

    id: str
    ours: bool
    standing: Standing


@dataclass(frozen=True)
class Change:
    """The change required for one name.

    Attributes:
        action: 'replace' creates a new run and deletes those in `ids`, because Kubeflow cannot change one.
        name: name of the recurring run.
        why: the difference, in words.
        ids: ids of the recurring runs to pause, resume or delete.
        wanted: the recurring run to create; None if there is nothing to create.
    """

    action: Action
    name: str
    why: str
    ids: tuple[str, ...] = ()
    wanted: Standing | None = None


def read_schedules(path: Path) -> Schedules:
    """Read the schedules that a YAML file declares.

    Raises:
        SettingsError: the file cannot be read, has an unknown name or a wrong value, or declares a name twice.
    """
    said = read_yaml(path, SettingsError, "give a YAML file of schedules")
    if not isinstance(said, dict) or not isinstance(said.get("schedules"), list):
        raise SettingsError(f"{path} declares no schedules: write 'schedules:' and below it a list.")
    made = [Schedule.make(one if isinstance(one, dict) else {"name": one}) for one in said["schedules"]]
    names = [one.name for one in made]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SettingsError(f"{path} declares '{min(twice)}' twice: give each schedule a name of its own.")
    zone = said.get("cluster_zone", "UTC")
    zone_named(str(zone))
    return Schedules.make({**said, "schedules": tuple(made)})


def standing(schedule: Schedule, version: str, parameters: dict[str, Any], zone: str, moment: datetime) -> Standing:
    """Return the recurring run for a schedule, on a cluster whose scheduler runs in `zone`.

    Args:
        schedule: the schedule.
        version: version of the pipeline, used if the schedule names none.
        parameters: checked parameters, including those of the profile.
        zone: time zone of the cluster's scheduler.
        moment: the time at which the difference between the zones is taken.

    Raises:
        SettingsError: the line cannot be converted to the cluster's zone.
    """
    return Standing(
        name=schedule.name,
        experiment=schedule.experiment,
        pipeline=schedule.pipeline,
        version=schedule.version or version,
        cron=in_cluster_zone(schedule.cron, schedule.zone, zone, moment),
        parameters=parameters,
        catch_up=schedule.catch_up,
        at_once=schedule.at_once,
        service_account=schedule.service_account,
        pipeline_root=schedule.pipeline_root,
        enabled=schedule.enabled,
    )


def changes(wanted: Sequence[Standing], found: Sequence[Found]) -> list[Change]:
    """Return the changes that the cluster needs; recurring runs of ours that are not declared are only reported.

    Raises:
        SettingsError: a recurring run of a declared name exists that is not ours.
    """
    listed = [_change(one, [other for other in found if other.standing.name == one.name]) for one in wanted]
    names = {one.name for one in wanted}
    for other in found:
        if other.ours and other.standing.name not in names:
            listed.append(Change("undeclared", other.standing.name, "no longer declared", (other.id,)))
    return listed


def _change(wanted: Standing, there: Sequence[Found]) -> Change:
    if foreign := [one for one in there if not one.ours]:
        raise SettingsError(
            f"There is a recurring run '{wanted.name}' ({foreign[0].id}) that was not made by histoforge: give the "
            "schedule another name, or delete that one."
        )
    if not there:
        return Change("create", wanted.name, "not there", wanted=wanted)
    same = [one for one in there if not _differences(wanted, one.standing)]
    others = tuple(one.id for one in there if one not in same[:1])
    if not same:
        why = "; ".join(_differences(wanted, there[0].standing))
        return Change("replace", wanted.name, why, others, wanted)
    if others:
        return Change("replace", wanted.name, "there more than once", others)
    kept = same[0]
    if kept.standing.enabled != wanted.enabled:
        action: Action = "resume" if wanted.enabled else "pause"
        return Change(action, wanted.name, "paused on the cluster" if wanted.enabled else "running", (kept.id,))
    return Change("nothing", wanted.name, "as declared", (kept.id,))


def _differences(wanted: Standing, there: Standing) -> list[str]:
    old, new = ({key: value for key, value in vars(one).items() if key != "enabled"} for one in (there, wanted))
    return differences(old, new)


def named(schedules: Iterable[Found], name: str) -> list[Found]:
    """Return our recurring runs of a given name.

    Raises:
        SettingsError: there is none.
    """
    found = [one for one in schedules if one.ours and one.standing.name == name]
    if not found:
        raise SettingsError(f"There is no recurring run '{name}' of histoforge's: see 'histoforge schedule diff'.")
    return found
