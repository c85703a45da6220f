"""Pause recurring runs while they are deleted or replaced, so that no active run is lost.

Kubernetes deletes the Workflow of a run together with the ScheduledWorkflow of its recurring run, and Kubeflow then
shows the run as running for ever. An active run therefore has to end first.
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
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.schedules import DeployedRun

MAX_CHECKS = 120
"""Number of checks on terminated runs before giving up."""
WAIT = Annotated[bool, typer.Option("--wait", help="pause the recurring run and wait for its active run to end")]
NOW = Annotated[bool, typer.Option("--now", help="terminate the active run, which loses its work")]
EVERY = Annotated[float, typer.Option("--every", metavar="SECONDS", help="time between two checks of a run")]


@dataclass(frozen=True)
class ActiveRunPolicy:
    """The treatment of an active run. If neither field is set, an active run is an error.

    Attributes:
        wait: wait until it has ended.
        now: terminate it.
        every: seconds between two checks.
    """

    wait: bool = False
    now: bool = False
    every: float = 10.0

    def __post_init__(self) -> None:
        if self.wait and self.now:
            raise SettingsError("--wait and --now exclude each other: give one of them.")


def check_no_active_runs(
    kubeflow: "KubeflowClient", recurring_runs: "Sequence[DeployedRun]", policy: ActiveRunPolicy
) -> None:
    """Check that no recurring run has an active run, unless the policy allows for one.

    Raises:
        ClusterError: if there is one.
    """
    if policy.wait or policy.now:
        return
    for recurring_run in recurring_runs:
        for run in kubeflow.active_runs(recurring_run.id):
            raise ClusterError(
                f"The recurring run was not changed, because a run of '{recurring_run.definition.name}' is active "
                f"({run.run_id}) and would be lost: wait for it with --wait, or terminate it with --now."
            )


@contextlib.contextmanager
def paused(
    kubeflow: "KubeflowClient", recurring_runs: "Sequence[DeployedRun]", policy: ActiveRunPolicy
) -> Iterator[None]:
    """Pause recurring runs and let their active runs end; they stay paused, unless the block or the wait fails.

    Raises:
        ClusterError: if a run is active and the policy does not cover it, or it does not end.
    """
    check_no_active_runs(kubeflow, recurring_runs, policy)
    enabled = [run for run in recurring_runs if run.definition.enabled]
    try:
        with sigterm_as_interrupt():
            for run in enabled:
                kubeflow.enable(run.id, False)
            check_no_active_runs(kubeflow, recurring_runs, policy)
            if policy.wait or policy.now:
                for run in recurring_runs:
                    _await_end(kubeflow, run, policy)
            yield
    except BaseException:
        for run in enabled:
            with contextlib.suppress(ClusterError):
                kubeflow.enable(run.id, True)
        raise


def _await_end(kubeflow: "KubeflowClient", recurring_run: "DeployedRun", policy: ActiveRunPolicy) -> None:
    """Wait until the active runs of a recurring run have ended, after terminating them if the policy is `now`."""
    name = recurring_run.definition.name
    reported: set[str] = set()
    ignored: set[str] = set()
    checks = 0
    while active := [run for run in kubeflow.active_runs(recurring_run.id) if run.run_id not in ignored]:
        checks += 1
        if policy.now and checks > MAX_CHECKS:
            raise ClusterError(
                f"The run {active[0].run_id} of '{name}' was terminated but has not ended: check its pods, and run "
                "this command again."
            )
        for run in (run for run in active if run.run_id not in reported):
            reported.add(run.run_id)
            say(f"{name}: {'terminating' if policy.now else 'waiting for'} the run {run.run_id}")
            if policy.now and not _terminate(kubeflow, run):
                ignored.add(run.run_id)
        time.sleep(policy.every)


def _terminate(kubeflow: "KubeflowClient", run: Any) -> bool:
    """Terminate a run; return False if Kubeflow cannot do so, for example because its Workflow was deleted."""
    if run.state == "CANCELING":
        return True
    try:
        kubeflow.terminate(run.run_id)
    except ClusterError as error:
        if not [other for other in kubeflow.active_runs(run.recurring_run_id) if other.run_id == run.run_id]:
            return True  # it ended by itself in the meantime
        say(f"the run {run.run_id} could not be terminated, and Kubeflow may show it as running for ever: {error}")
        return False
    return True
