"""Pause recurring runs while they are deleted or replaced, so that no run in progress is lost.

Kubernetes deletes the Workflow of a run together with the ScheduledWorkflow of its recurring run, and Kubeflow then
shows the run as running for ever. A run therefore has to end first.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histoforge.cluster.errors import ClusterError
from histoforge.core.errors import SettingsError
from histoforge.core.progress import say
from histoforge.core.signals import sigterm_as_interrupt

if TYPE_CHECKING:
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cluster.schedules import Found

LOOKS_AT_ENDING = 120
"""Number of checks on runs that were told to end before giving up."""
WAIT = Annotated[bool, typer.Option("--wait", help="pause the schedule and wait for its run in progress to end")]
NOW = Annotated[bool, typer.Option("--now", help="end the run in progress, which loses its work")]
EVERY = Annotated[float, typer.Option("--every", metavar="SECONDS", help="between two looks at a run")]


@dataclass(frozen=True)
class Policy:
    """The treatment of a run in progress. If neither field is set, such a run is an error.

    Attributes:
        wait: wait until it has ended.
        now: end it.
        every: seconds between two checks.
    """

    wait: bool = False
    now: bool = False
    every: float = 10.0

    def __post_init__(self) -> None:
        if self.wait and self.now:
            raise SettingsError("--wait and --now exclude each other: give one of them.")


def refuse_active(kubeflow: "Kubeflow", schedules: "Sequence[Found]", policy: Policy) -> None:
    """Check that no recurring run has a run in progress, unless the policy allows for one.

    Raises:
        ClusterError: if there is one.
    """
    if policy.wait or policy.now:
        return
    for schedule in schedules:
        for run in kubeflow.active_runs(schedule.id):
            raise ClusterError(
                f"The schedule stays as it is, because a run of '{schedule.standing.name}' is in progress "
                f"({run.run_id}) and would be lost with it: wait for it with --wait, or end it with --now."
            )


@contextlib.contextmanager
def held(kubeflow: "Kubeflow", schedules: "Sequence[Found]", policy: Policy) -> Iterator[None]:
    """Pause recurring runs and let their runs end; they stay paused, unless the block or the wait fails.

    Raises:
        ClusterError: if a run is in progress and the policy does not cover it, or it does not end.
    """
    refuse_active(kubeflow, schedules, policy)
    running = [schedule for schedule in schedules if schedule.standing.enabled]
    try:
        with sigterm_as_interrupt():
            for schedule in running:
                kubeflow.enable(schedule.id, False)
            refuse_active(kubeflow, schedules, policy)
            if policy.wait or policy.now:
                for schedule in schedules:
                    _let_end(kubeflow, schedule, policy)
            yield
    except BaseException:
        for schedule in running:
            with contextlib.suppress(ClusterError):
                kubeflow.enable(schedule.id, True)
        raise


def _let_end(kubeflow: "Kubeflow", schedule: "Found", policy: Policy) -> None:
    told: set[str] = set()
    gone: set[str] = set()
    looks = 0
    while active := [run for run in kubeflow.active_runs(schedule.id) if run.run_id not in gone]:
        looks += 1
        if policy.now and looks > LOOKS_AT_ENDING:
            raise ClusterError(
                f"The run {active[0].run_id} of '{schedule.standing.name}' was told to end and has not: look at its "
                "pods, and try again."
            )
        for run in (run for run in active if run.run_id not in told):
            told.add(run.run_id)
            say(f"{schedule.standing.name}: {'ending' if policy.now else 'waiting for'} the run {run.run_id}")
            if policy.now and not _ended(kubeflow, run):
                gone.add(run.run_id)
        time.sleep(policy.every)


def _ended(kubeflow: "Kubeflow", run: Any) -> bool:
    """Tell a run to end; return False if Kubeflow cannot do so, as for one whose Workflow was deleted."""
    if run.state == "CANCELING":
        return True
    try:
        kubeflow.terminate(run.run_id)
    except ClusterError as error:
        if not [other for other in kubeflow.active_runs(run.recurring_run_id) if other.run_id == run.run_id]:
            return True  # it ended by itself in the meantime
        say(f"the run {run.run_id} could not be ended, and may be shown as running for ever: {error}")
        return False
    return True
