"""The section on the time and memory of the tasks behind a page."""

from collections.abc import Sequence

from histoforge.core.text import duration
from histoforge.reports.layout.blocks import Cell, Figures, Section, Table
from histoforge.reports.plots.timings import OTHER, TaskTime, timings_figure

MOST_BARS = 40
"""Bars of a figure that stays legible; with more tasks, those that took longest are drawn."""


def timings_section(tasks: Sequence[TaskTime]) -> Section:
    """Show where the time of each task went, and its peak memory."""
    if not tasks:
        return Section("timings", "Time", "", [])
    shortest = sorted((task.seconds for task in tasks), reverse=True)[:MOST_BARS][-1]
    drawn = [task for task in tasks if task.seconds >= shortest][:MOST_BARS]
    phases = [*dict.fromkeys(phase for task in tasks for phase in task.phases if phase != OTHER), OTHER]
    left_out = "" if len(drawn) == len(tasks) else f" The figure shows the {len(drawn)} that took longest."
    table = Table(
        caption="Time and peak memory of each task",
        columns=["Task", "Time", *(phase.capitalize() for phase in phases), "Memory", "GPU memory"],
        rows=[
            [
                Cell(task.name),
                Cell(duration(task.seconds)),
                *(Cell(_seconds(task.phases.get(phase)), task.rates.get(phase, "")) for phase in phases),
                Cell(f"{task.memory_gib:.2f} GiB"),
                Cell("-" if task.gpu_gib is None else f"{task.gpu_gib:.2f} GiB"),
            ]
            for task in tasks
        ],
        note="Seconds of all threads and processes together. Tasks whose results an earlier call had made show the "
        f"figures of that call. The numbers are also in timings.json.{left_out}",
    )
    return Section("timings", "Time", "Where did the time go?", [Figures([timings_figure(drawn)]), table])


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"
