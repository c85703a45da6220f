"""Time and peak memory of a task: measured anew for each, with the processes that it starts."""

import subprocess
import sys

import pytest

from histoforge.cli.run.console import usage_table
from histoforge.tasks.usage import GIB, Meter, ProcessPeak, Usage, add_children, process_peak

MIB = 1 << 20


def test_the_peak_is_that_of_the_task_alone():
    first = Meter()
    before = process_peak().host
    block = bytearray(b"x" * (256 * MIB))
    del block
    peak = first.read().peak_memory_gib * GIB
    assert peak > before + 200 * MIB
    assert Meter().read().peak_memory_gib * GIB < peak - 100 * MIB


def test_processor_time_of_children_counts():
    meter = Meter()
    work = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    usage = meter.read()
    assert usage.cpu_seconds >= 0.3
    assert usage.seconds > 0


def test_training_processes_count_together_on_the_host_and_one_by_one_on_gpus():
    meter = Meter()
    alone = meter.read()
    assert (alone.peak_gpu_allocated_gib, alone.peak_gpu_reserved_gib) == (None, None)
    add_children([ProcessPeak(GIB, 2 * GIB, 3 * GIB), ProcessPeak(2 * GIB, GIB, 4 * GIB)])
    usage = meter.read()
    assert usage.peak_memory_gib == pytest.approx(alone.peak_memory_gib + 3, abs=0.1)
    assert (usage.peak_gpu_allocated_gib, usage.peak_gpu_reserved_gib) == (2, 4)
    assert usage.sentence().endswith("GiB of memory, 2.00 GiB of GPU memory, 4.00 GiB of it reserved")
    assert Meter().read().peak_gpu_reserved_gib is None


def test_the_table_adds_times_and_takes_the_highest_peak_of_tasks_of_one_name():
    def used(seconds, memory, gpu=None):
        return Usage(seconds=seconds, cpu_seconds=2 * seconds, peak_memory_gib=memory, peak_gpu_reserved_gib=gpu)

    lines = usage_table(
        {"cut": 12.0, "train": 30.0}, [("cut", used(11, 1.5)), ("train", used(10, 2, 8)), ("train", used(15, 3, 6))]
    )
    assert [line.split() for line in lines[1:]] == [
        ["cut", "12.0", "22.0", "1.50", "-"],
        ["train", "30.0", "50.0", "3.00", "8.00"],
    ]
