"""Functions that the benchmarks share: timing of calls, a table of results, and a line about the machine."""

import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
_clock = [CLOCKS["wall"]]


def use_clock(name: str) -> None:
    """Choose 'wall' time or 'processor' time; the latter suits a busy machine, with one thread (OMP_NUM_THREADS=1)."""
    _clock[0] = CLOCKS[name]


def now() -> float:
    """Return the time by the chosen clock, s."""
    return _clock[0]()


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Return the time of one call by the chosen clock in s, including the work it started on a GPU, and its result."""
    start = now()
    result = function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return now() - start, result


def fastest(function: Callable[[], object], rounds: int) -> float:
    """Return the seconds of the fastest of `rounds` calls, after one warm-up call."""
    function()
    return min(timed(function)[0] for _ in range(rounds))


def fastest_in_turn(functions: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, tuple[float, Result]]:
    """Call the functions in turn; return the fastest time of each in seconds, and its result."""
    best: dict[str, tuple[float, Result]] = {}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds, result = timed(function)
            if name not in best or seconds < best[name][0]:
                best[name] = seconds, result
    return best


def table(title: str, unit: str, count: float, times: Mapping[str, float], baseline: str) -> str:
    """Return a Markdown table: seconds, rate (`count` of `unit` per second) and the speed relative to `baseline`."""
    lines = [f"**{title}**", "", f"| | s | {unit}/s | times as fast |", "| --- | ---: | ---: | ---: |"]
    for name, taken in times.items():
        lines.append(f"| {name} | {taken:.2f} | {count / taken:,.0f} | {times[baseline] / taken:.2f} |")
    return "\n".join(lines)


def surroundings(packages: Sequence[str]) -> str:
    """Return the date, processor, cores, GPU and versions as one Markdown line."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{datetime.date.today()}, {_processor()} ({_bfloat16()}), {cores} cores, {torch.get_num_threads()} threads, "
        f"{gpu}; Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _bfloat16() -> str:
    """Return the processor's support for bfloat16, which affects the ratios of trainings more than anything else."""
    if torch.cpu._is_amx_tile_supported():
        return "bfloat16 by AMX"
    return "bfloat16 by AVX512, no AMX" if torch.cpu._is_avx512_bf16_supported() else "no bfloat16"
