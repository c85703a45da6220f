"""The figure of where the time went: one stacked bar per task."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from histoforge.core.text import duration
from histoforge.reports.layout.blocks import Figure
from histoforge.reports.layout.drawing import GREY, colour, draw_rows

OTHER = "other"


class TaskTime(NamedTuple):
    """The time of one task.

    Attributes:
        name: its name.
        seconds: wall-clock time.
        phases: seconds by phase, and under 'other' what no phase covers.
        memory_gib: peak memory of the host.
        gpu_gib: peak memory that was reserved on the GPU; None without one.
        rates: what a phase achieved, such as '3 MB/s', by phase.
    """

    name: str
    seconds: float
    phases: Mapping[str, float]
    memory_gib: float
    gpu_gib: float | None
    rates: Mapping[str, str]


def timings_figure(tasks: Sequence[TaskTime]) -> Figure:
    """Plot where the time of each task went."""
    phases = list(dict.fromkeys(phase for task in tasks for phase in task.phases if phase != OTHER))
    with draw_rows([task.name for task in tasks], "") as drawing:
        drawing.axes.set_xlabel("Seconds")  # between the axes and the legend
        ends = [0.0] * len(tasks)
        for index, phase in enumerate([*phases, OTHER]):
            seconds = [task.phases.get(phase, 0.0) for task in tasks]
            tint = GREY if phase == OTHER else colour(index)
            drawing.axes.barh(range(len(tasks)), seconds, left=ends, height=0.6, color=tint, label=phase)
            ends = [end + more for end, more in zip(ends, seconds, strict=True)]
        drawing.legend(columns=3)
    times = "; ".join(f"{task.name} {duration(task.seconds)}" for task in tasks)
    return Figure(
        alt=f"Time of each task: {times}.",
        caption="Where the time of each task went. Threads and processes that worked side by side add up, so that a "
        "bar may be longer than the task took; other: imports, statistics, tables, pages and waiting.",
        svg=drawing.svg,
    )
