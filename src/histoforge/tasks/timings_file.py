"""`timings.json`: where the time of the tasks went that wrote into a folder, and their peak memory."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import ValidationError

from histoforge.core.files import write_json
from histoforge.core.progress import say
from histoforge.core.results import TIMINGS, read_json_or_empty
from histoforge.tasks.usage import Usage


class TaskUsage(Usage):
    """Usage of a named task.

    Attributes:
        task: the step, with what distinguishes it from similar tasks.
        title: title of the task in its pipeline; the step outside of one.
    """

    task: str
    title: str


def named_usage(task: str, title: str, usage: Usage) -> TaskUsage:
    """Return a task's usage with its name and title."""
    return TaskUsage(task=task, title=title, **usage.model_dump())


def read_timings(folder: Path) -> list[TaskUsage]:
    """Return the tasks in a folder's `timings.json`; none if there is no such file, or it is something else."""
    try:
        return [TaskUsage.model_validate(entry) for entry in read_json_or_empty(folder / TIMINGS).get("tasks", ())]
    except (TypeError, ValidationError):
        return []


def write_timings(folder: Path, tasks: Sequence[TaskUsage], cached: Collection[str] | None = None) -> None:
    """Write `timings.json` into a folder, unless no task has run or a file of that name is something else.

    Args:
        folder: the folder.
        tasks: tasks that have run, in the order in which they ended.
        cached: titles of tasks whose results were reused; their entries in the file are kept, and all others go.
            None keeps all others, as for commands that write into the same folder one by one.
    """
    if not tasks or not folder.is_dir() or int(os.environ.get("RANK", "0")):
        return
    path, earlier = folder / TIMINGS, read_timings(folder)
    if path.exists() and not earlier:
        say(f"{path} was not written by histoforge and was kept; the timings were not written")
        return
    ran = {entry.task for entry in tasks}
    kept = [entry for entry in earlier if entry.task not in ran and (cached is None or entry.title in cached)]
    entries = [entry.model_dump(mode="json") for entry in (*kept, *tasks)]
    write_json(path, {"tasks": entries, "cached": list(cached or ())})
