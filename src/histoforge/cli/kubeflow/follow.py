"""Follow a run on Kubeflow until it ends, reporting the states of its tasks and the reasons of failures."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from histoforge.cli.kubeflow.failures import FailureReader
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.tasks import Event, Watch, tasks_of
from histoforge.core.progress import say
from histoforge.tasks.kubernetes import KubernetesError

if TYPE_CHECKING:
    from histoforge.cli.kubeflow.client import KubeflowClient
    from histoforge.cluster.schedules import RecurringRun

Result = TypeVar("Result")
ATTEMPTS = 12
"""Number of failed requests in a row after which a run is no longer followed."""


def follow_run(
    kubeflow: "KubeflowClient", run_id: str, pipeline: tuple[str, str], definition: "RecurringRun", every: float
) -> str:
    """Report the progress of each task of a run, and return the final state of the run.

    Args:
        kubeflow: the connection.
        run_id: id of the run.
        pipeline: ids of the pipeline and of its version.
        definition: the arguments with which the run was started.
        every: seconds between two requests.

    Raises:
        ClusterError: if the server did not respond `ATTEMPTS` times in a row.
    """
    failures = FailureReader(kubeflow.namespace or "kubeflow", run_id, definition.pipeline, definition.pipeline_root)
    last: Any = None
    for run, events in watch_run(kubeflow, run_id, pipeline, every):
        for event in events:
            _report(event, failures)
        last = run
    reason = last.error.message if last.error and last.error.message else ""
    say(f"the run {last.state.lower()}{f': {reason}' if reason else ''}")
    return str(last.state)


def watch_run(
    kubeflow: "KubeflowClient", run_id: str, pipeline: tuple[str, str], every: float
) -> Iterator[tuple[Any, list[Event]]]:
    """Yield a run and the new events of its tasks every few seconds, for the last time when the run has ended.

    Raises:
        ClusterError: if the server did not respond `ATTEMPTS` times in a row.
    """
    from histoforge.cli.kubeflow.client import ENDED

    watch = Watch(tasks_of(kubeflow.spec(pipeline)))
    while True:
        run = get_run(kubeflow, run_id, every)
        yield run, watch.events((run.run_details.task_details if run.run_details else None) or [])
        if run.state in ENDED:
            return
        time.sleep(every)


def get_run(kubeflow: "KubeflowClient", run_id: str, every: float) -> Any:
    """Return the current state of a run, tolerating a temporary failure to respond.

    Raises:
        ClusterError: if the server did not respond `ATTEMPTS` times in a row.
    """
    try:
        return with_retries(lambda: kubeflow.run(run_id), every)
    except ClusterError as error:
        raise ClusterError(f"{str(error).rstrip('.')}; the run {run_id} continues.") from None


def with_retries(request: Callable[[], Result], every: float) -> Result:
    """Return the result of a request, repeating it if the server does not respond for a while.

    Raises:
        ClusterError, KubernetesError: if it did not respond `ATTEMPTS` times in a row.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return request()
        except (ClusterError, KubernetesError):
            time.sleep(every)
    return request()


def _report(event: Event, failures: FailureReader) -> None:
    if event.state != "FAILED":
        say(f"{event.title}: {event.state.lower()}")
        return
    failure = failures.read(event)
    say(f"{event.title}: failed{f': {failure.sentence}' if failure.sentence else ''}")
    say(f"    {failure.command}")
