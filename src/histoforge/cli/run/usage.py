"""Report time and peak memory of the tasks of a run on this machine, as a table and as `usage.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from histoforge.core.files import write_json
from histoforge.tasks.usage import Usage

NAME = "usage.json"


def usage_table(seconds: Mapping[str, float], usage: Sequence[tuple[str, Usage]]) -> list[str]:
    """Return the lines of a table of time and peak memory.

    Args:
        seconds: duration of each task including its start, by name; the sum if several share a name.
        usage: usage of tasks by name; times under one name are added, and the highest peak counts.
    """
    lines = [f"  {'task':<32} {'seconds':>9} {'CPU s':>9} {'memory, GiB':>12} {'GPU, GiB':>9}"]
    for name, duration in seconds.items():
        used = [entry for label, entry in usage if label == name]
        processor = sum(entry.cpu_seconds for entry in used)
        memory = max((entry.peak_memory_gib for entry in used), default=0.0)
        gpu = max((entry.peak_gpu_reserved_gib or 0.0 for entry in used), default=0.0)
        shown = f"{gpu:.2f}" if gpu else "-"
        lines.append(f"  {name:<32} {duration:9.1f} {processor:9.1f} {memory:12.2f} {shown:>9}")
    return lines


def write_usage(out: Path, usage: Sequence[tuple[str, Usage]], cached: Sequence[str]) -> None:
    """Write `usage.json` into a run's folder, unless no task has run.

    Args:
        out: the folder.
        usage: usage of tasks by name, in the order in which they ended.
        cached: tasks whose results were reused from an earlier call.
    """
    if usage:
        tasks = [{"task": name, **entry.model_dump()} for name, entry in usage]
        write_json(out / NAME, {"tasks": tasks, "cached": list(cached)})
