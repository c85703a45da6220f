"""The tasks of a run as its author named them, out of what the backend lists.

Kubeflow Pipelines 2.17 lists the nodes of the Argo workflow: for the task `preprocess` there are `preprocess-driver`,
`preprocess`, and below it `executor` and `executor(0)` for its attempts; a loop has `iteration-driver` and the like
(backend/src/v2/compiler/argocompiler/dag.go and container.go of kubeflow/pipelines at 7b70c7b95f). Nodes bear their
names only, so a task is known by its key in the compiled pipeline.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DRIVER = "-driver"
_ATTEMPT = re.compile(r"\((\d+)\)")
"""In the name of a node; '(0:item)' is an iteration of a loop."""
_SHOWN = ("RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED")


@dataclass(frozen=True)
class Task:
    """A task of a compiled pipeline.

    Attributes:
        title: as the UI shows it.
        runs: True where it runs a container; False for a loop, a condition or a pipeline within.
        looped: whether it runs once for each item of a loop.
    """

    title: str
    runs: bool
    looped: bool


@dataclass(frozen=True)
class Event:
    """A task that has come to another state.

    Attributes:
        key: of the task in the compiled pipeline.
        title: as the UI shows it; within a loop with a number.
        state: as Kubeflow names it, such as 'RUNNING'.
        node: last part of the Argo node's name whose pod has the log: the task's, or its driver's.
    """

    key: str
    title: str
    state: str
    node: str


def tasks_of(spec: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks of a compiled pipeline by key, those of pipelines within it included.

    Args:
        spec: as kfp's compiler writes it, or as the API server hands it back with `pipeline_spec` and `platform_spec`.
    """
    spec = spec.get("pipeline_spec") or spec
    tasks = {"root": Task("The run", False, False)}
    tasks.update(_tasks_of_dag(spec.get("root", {}).get("dag", {}), spec.get("components", {}), False))
    return tasks


def _tasks_of_dag(dag: Mapping[str, Any], components: Mapping[str, Any], looped: bool) -> Iterator[tuple[str, Task]]:
    for key, task in dag.get("tasks", {}).items():
        component = components.get(task.get("componentRef", {}).get("name", ""), {})
        inner = looped or "parameterIterator" in task or "artifactIterator" in task
        title = task.get("taskInfo", {}).get("name") or key
        yield key, Task(title, "dag" not in component, looped)
        if "dag" in component:
            yield from _tasks_of_dag(component["dag"], components, inner)


def split_node(name: str) -> tuple[str, tuple[int, ...]]:
    """Split the whole name of a node into the name without its attempts, and the attempts from the root down.

    Kubeflow's own configuration of Argo gives every template a retry strategy, DAGs included, so that the pod of a task
    may be 'w.root(0).preprocess(0).executor(1)'; without it, it is 'w.root.preprocess.executor(1)'.
    """
    return _ATTEMPT.sub("", name), tuple(int(number) for number in _ATTEMPT.findall(name))


class Watch:
    """Tells each task's states once, as they change.

    Args:
        tasks: of the pipeline, by key.
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._states: dict[str, str] = {}
        self._numbers: dict[str, dict[str, int]] = {}

    def events(self, nodes: Iterable[Any]) -> list[Event]:
        """List what has changed since the last call.

        Args:
            nodes: the run's `task_details` as the API server lists them now.
        """
        events = (self._event(node) for node in sorted(nodes, key=_started))
        return [event for event in events if event is not None]

    def _event(self, node: Any) -> Event | None:
        name, state = str(node.display_name), str(node.state)
        identity = str(node.task_id or name)
        key = name.removesuffix(DRIVER)
        task, is_driver = self._tasks.get(key), name.endswith(DRIVER)
        if task is None or state not in _SHOWN or self._states.get(identity) == state:
            return None
        if state != "FAILED" if is_driver else not task.runs:
            return None
        self._states[identity] = state
        return Event(key, self._title(key, task, identity, is_driver), state, name if is_driver else f"{name}.executor")

    def _title(self, key: str, task: Task, identity: str, is_driver: bool) -> str:
        if not task.looped or is_driver:
            return task.title
        numbers = self._numbers.setdefault(key, {})
        return f"{task.title} ({numbers.setdefault(identity, len(numbers) + 1)})"


def _started(node: Any) -> str:
    return str(getattr(node, "start_time", None) or "")
