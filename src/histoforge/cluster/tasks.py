"""The tasks of a run under the names that the pipeline's author gave them, derived from what the backend lists.

Kubeflow Pipelines 2.17 lists the nodes of the Argo workflow. For the task `preprocess` these are `preprocess-driver`,
`preprocess`, and below it `executor` and `executor(0)` for its attempts; a loop has `iteration-driver` and the like
(backend/src/v2/compiler/argocompiler/dag.go and container.go of kubeflow/pipelines at 7b70c7b95f). Nodes carry only
their names, so a task is identified by its key in the compiled pipeline.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DRIVER = "-driver"
_ATTEMPT = re.compile(r"\((\d+)\)")
"""Number of an attempt in the name of a node; '(0:item)' is an iteration of a loop."""
_SHOWN = ("RUNNING", "SUCCEEDED", "SKIPPED", "FAILED", "CANCELING", "CANCELED", "PAUSED")


@dataclass(frozen=True)
class Task:
    """A task of a compiled pipeline.

    Attributes:
        title: name that the UI shows.
        runs: True if the task runs a container; False for a loop, a condition or a nested pipeline.
        looped: True if it runs once for each item of a loop.
    """

    title: str
    runs: bool
    looped: bool


@dataclass(frozen=True)
class Event:
    """A task that has changed its state.

    Attributes:
        key: key of the task in the compiled pipeline.
        title: name that the UI shows; within a loop, with a number.
        state: state as Kubeflow names it, such as 'RUNNING'.
        node: last part of the name of the Argo node whose pod has the log: the task's node, or its driver's.
    """

    key: str
    title: str
    state: str
    node: str


def tasks_of(spec: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks of a compiled pipeline by key, including those of nested pipelines.

    Args:
        spec: as kfp's compiler writes it, or as the API server hands it back with `pipeline_spec` and `platform_spec`.
    """
    spec = spec.get("pipeline_spec") or spec
    tasks = {"root": Task("The run", False, False)}
    tasks.update(_dag_tasks(spec.get("root", {}).get("dag", {}), spec.get("components", {}), False))
    return tasks


def _dag_tasks(dag: Mapping[str, Any], components: Mapping[str, Any], looped: bool) -> Iterator[tuple[str, Task]]:
    for key, task in dag.get("tasks", {}).items():
        component = components.get(task.get("componentRef", {}).get("name", ""), {})
        inner = looped or "parameterIterator" in task or "artifactIterator" in task
        title = task.get("taskInfo", {}).get("name") or key
        yield key, Task(title, "dag" not in component, looped)
        if "dag" in component:
            yield from _dag_tasks(component["dag"], components, inner)


def split_node(name: str) -> tuple[str, tuple[int, ...]]:
    """Split the full name of a node into the name without its attempts, and the attempts from the root down.

    Kubeflow's own configuration of Argo gives every template a retry strategy, including DAGs, so the pod of a task may
    be 'w.root(0).preprocess(0).executor(1)'; without it, it is 'w.root.preprocess.executor(1)'.
    """
    return _ATTEMPT.sub("", name), tuple(int(number) for number in _ATTEMPT.findall(name))


class Watch:
    """Reports each state of each task once, when it changes.

    Args:
        tasks: tasks of the pipeline, by key.
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._states: dict[str, str] = {}
        self._numbers: dict[str, dict[str, int]] = {}

    def events(self, nodes: Iterable[Any]) -> list[Event]:
        """List the changes since the last call.

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
