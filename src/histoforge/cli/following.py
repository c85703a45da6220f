"""Follow a run on Kubeflow until it ends: report each task by its title, and why it failed."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from histoforge.cli.kubernetes import Unseen
from histoforge.cli.words import LastWords
from histoforge.cluster.errors import ClusterError
from histoforge.cluster.tasks import Event, Watch, tasks_of
from histoforge.core.progress import say

if TYPE_CHECKING:
    from histoforge.cli.kubeflow import Kubeflow
    from histoforge.cluster.schedules import Standing

Answer = TypeVar("Answer")
LOOKS = 12
"""Number of failed requests in a row after which a run is no longer followed."""


def follow_run(kubeflow: "Kubeflow", run: str, pipeline: tuple[str, str], wanted: "Standing", every: float) -> str:
    """Report the progress of each task of a run, and return the state in which the run ends.

    Args:
        kubeflow: the connection.
        run: its id.
        pipeline: ids of the pipeline and of its version.
        wanted: the arguments with which the run was started.
        every: seconds between two requests.

    Raises:
        ClusterError: if the server did not answer `LOOKS` times in a row.
    """
    from histoforge.cli.kubeflow import ENDED

    watch = Watch(tasks_of(kubeflow.spec(pipeline)))
    words = LastWords(kubeflow.namespace or "kubeflow", run, wanted.pipeline, wanted.pipeline_root)
    while True:
        there = look(kubeflow, run, every)
        for event in watch.events((there.run_details.task_details if there.run_details else None) or []):
            _tell(event, words)
        if there.state in ENDED:
            reason = there.error.message if there.error and there.error.message else ""
            say(f"the run {there.state.lower()}{f': {reason}' if reason else ''}")
            return str(there.state)
        time.sleep(every)


def look(kubeflow: "Kubeflow", run: str, every: float) -> Any:
    """Return the current run; a temporary failure to answer is tolerated.

    Raises:
        ClusterError: if the server did not answer `LOOKS` times in a row.
    """
    try:
        return patiently(lambda: kubeflow.run(run), every)
    except ClusterError as error:
        raise ClusterError(f"{str(error).rstrip('.')}; the run {run} goes on.") from None


def patiently(ask: Callable[[], Answer], every: float) -> Answer:
    """Return a server's answer, repeating the request if it does not answer for a while.

    Raises:
        ClusterError, Unseen: if it did not answer `LOOKS` times in a row.
    """
    for _ in range(LOOKS - 1):
        try:
            return ask()
        except (ClusterError, Unseen):
            time.sleep(every)
    return ask()


def _tell(event: Event, words: LastWords) -> None:
    if event.state != "FAILED":
        say(f"{event.title}: {event.state.lower()}")
        return
    ending = words.of(event)
    say(f"{event.title}: failed{f': {ending.sentence}' if ending.sentence else ''}")
    say(f"    {ending.command}")
