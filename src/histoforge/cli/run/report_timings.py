"""The report of a run with the time and memory of its tasks, which `evaluate` cannot know."""

from collections.abc import Sequence
from typing import Any

from histoforge.tasks.timings_file import TaskUsage


def with_timings(page: str, tasks: Sequence[TaskUsage]) -> str:
    """Return the report, as HTML, with a section on where the time of the tasks went."""
    from histoforge.reports.layout.page import with_section
    from histoforge.reports.plots.timings import OTHER, TaskTime
    from histoforge.reports.sections.timings import timings_section

    def shown(task: TaskUsage) -> Any:
        seconds: dict[str, float] = {name: phase.seconds for name, phase in task.phases.items()}
        return TaskTime(
            name=task.task,
            seconds=task.seconds,
            phases={**seconds, OTHER: task.other_seconds},
            memory_gib=task.peak_memory_gib,
            gpu_gib=task.peak_gpu_reserved_gib,
            rates={name: phase.rate for name, phase in task.phases.items()},
        )

    return with_section(page, timings_section([shown(task) for task in tasks]))
