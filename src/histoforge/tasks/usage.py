"""Time, its division among phases, and peak memory of a task and all its processes, on the host and on GPUs."""

import resource
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.core.timings import Phase, Work, add_work, forget_work, work_so_far

GIB = 1 << 30
_MEMORY_OF_PROCESS = Path("/proc/self/status")
_RESET_OF_PEAK = Path("/proc/self/clear_refs")
_children: list["ProcessPeak"] = []


class ProcessPeak(NamedTuple):
    """Peak memory of one process, in bytes.

    Attributes:
        host: resident memory.
        allocated: memory of tensors on the GPU with the highest peak; 0 without a GPU.
        reserved: GPU memory that torch's allocator reserved.
    """

    host: int
    allocated: int = 0
    reserved: int = 0


class PhaseUsage(Settings):
    """The work of a task in one phase; see `core.timings`.

    Attributes:
        seconds: time of all its threads and processes together, without phases inside this one.
        bytes: bytes that went through it, as far as they were counted.
        patches: patches that went through it, as far as they were counted.
        bytes_per_second, patches_per_second: the same, divided by `seconds`; 0 if nothing was counted.
    """

    seconds: float
    bytes: int = 0
    patches: int = 0
    bytes_per_second: float = 0.0
    patches_per_second: float = 0.0

    @classmethod
    def of(cls, work: Work) -> "PhaseUsage":
        """Return some work with its rates."""
        seconds = max(work.seconds, 1e-6)
        rates = {"bytes_per_second": work.bytes / seconds, "patches_per_second": work.patches / seconds}
        return cls(**asdict(work) | {name: round(rate, 1) for name, rate in rates.items()})

    @property
    def rate(self) -> str:
        """Bytes and patches per second as text; '' if neither was counted."""
        rates = [f"{_three_digits(self.bytes_per_second / 1e6)} MB/s"] * bool(self.bytes)
        return ", ".join(rates + [f"{_three_digits(self.patches_per_second)} patches/s"] * bool(self.patches))


class Usage(Settings):
    """Time and peak memory of a task.

    Attributes:
        seconds: wall-clock time.
        cpu_seconds: processor time, including child processes.
        peak_memory_gib: sum of the resident memory of the task's process and of its training processes;
            shared pages count once per process. The page cache and `/dev/shm` are not included.
        peak_gpu_allocated_gib: memory of tensors on the GPU with the highest peak; None without a GPU.
        peak_gpu_reserved_gib: what torch's allocator reserved there, excluding the driver's share; None without a GPU.
        phases: what the time went to, by `core.timings.PHASES`; only phases that occurred.
    """

    seconds: float
    cpu_seconds: float
    peak_memory_gib: float
    peak_gpu_allocated_gib: float | None = None
    peak_gpu_reserved_gib: float | None = None
    phases: dict[Phase, PhaseUsage] = Field(default_factory=dict)

    @property
    def other_seconds(self) -> float:
        """The time that no phase covers: imports, statistics, tables, pages, waiting.

        It is 0 if threads or processes that worked side by side add up to more than the clock shows.
        """
        return max(0.0, self.seconds - sum(phase.seconds for phase in self.phases.values()))

    def sentence(self) -> str:
        """Return the figures in one line, for logs and summaries."""
        figures = [
            f"{self.seconds:.1f} s",
            f"{self.cpu_seconds:.1f} s of processor time",
            f"{self.peak_memory_gib:.2f} GiB of memory",
        ]
        if self.peak_gpu_reserved_gib is not None:
            figures.append(f"{self.peak_gpu_allocated_gib:.2f} GiB of GPU memory")
            figures.append(f"{self.peak_gpu_reserved_gib:.2f} GiB of it reserved")
        return ", ".join(figures)

    def phases_sentence(self) -> str:
        """Return what the time went to in one line; '' if nothing was recorded."""
        figures = [
            f"{name} {phase.seconds:.1f} s" + (f" ({phase.rate})" if phase.rate else "")
            for name, phase in self.phases.items()
        ]
        return ", ".join([*figures, f"other {self.other_seconds:.1f} s"]) if figures else ""


class Meter:
    """Measure usage from creation on. Creating a meter resets the peaks of this process and of its children."""

    def __init__(self) -> None:
        self._began, self._processor = time.monotonic(), _processor_seconds()
        self._child_peak = _resident_peak(resource.RUSAGE_CHILDREN)
        _children.clear()
        forget_work()
        _reset_peaks()

    def read(self) -> Usage:
        """Return the usage since the meter was created."""
        peaks = [process_peak(), *_children]
        child_peak = _resident_peak(resource.RUSAGE_CHILDREN)
        if not _children and child_peak > self._child_peak:  # a process that cut slides
            peaks.append(ProcessPeak(child_peak))
        reserved = max(peak.reserved for peak in peaks)
        return Usage(
            seconds=round(time.monotonic() - self._began, 3),
            cpu_seconds=round(_processor_seconds() - self._processor, 3),
            peak_memory_gib=round(sum(peak.host for peak in peaks) / GIB, 3),
            peak_gpu_allocated_gib=round(max(peak.allocated for peak in peaks) / GIB, 3) if reserved else None,
            peak_gpu_reserved_gib=round(reserved / GIB, 3) if reserved else None,
            phases={phase: PhaseUsage.of(work) for phase, work in work_so_far().items()},
        )


def _three_digits(number: float) -> str:
    """Return a number with three significant digits, such as '0.512' or '82,300'."""
    return f"{float(f'{number:.3g}'):,.12g}"


def process_peak() -> ProcessPeak:
    """Return the peak memory of this process since its start, or since a `Meter` was last created in it."""
    allocated = reserved = 0
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        devices = range(torch.cuda.device_count())
        allocated = max(torch.cuda.max_memory_allocated(device) for device in devices)
        reserved = max(torch.cuda.max_memory_reserved(device) for device in devices)
    return ProcessPeak(_host_peak(), allocated, reserved)


def add_children(processes: Iterable[tuple[ProcessPeak, Mapping[Phase, Work]]]) -> None:
    """Add the peaks and the work of processes that ran side by side for this task and have ended."""
    for peak, work in processes:
        _children.append(peak)
        add_work(work)


def _host_peak() -> int:
    try:
        lines = _MEMORY_OF_PROCESS.read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError, IndexError):  # not on Linux, or /proc is hidden
        return _resident_peak(resource.RUSAGE_SELF)


def _resident_peak(who: int) -> int:
    """Return the peak of this process, or the highest one of its children that have ended."""
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _reset_peaks() -> None:
    with suppress(OSError):  # if this is refused, the peak counts from the start of the process
        _RESET_OF_PEAK.write_text("5", encoding="ascii")  # man 5 proc: resets VmHWM to the memory that is resident now
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)


def _processor_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))
