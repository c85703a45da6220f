"""Time and peak memory of a task: measured anew for each, with the processes that it starts."""

import resource
import subprocess
import sys

import pytest

from histoforge.cli.run.console import usage_table
from histoforge.core.timings import Work
from histoforge.tasks.timings_file import named_usage, read_timings, write_timings
from histoforge.tasks.usage import GIB, Meter, PhaseUsage, ProcessPeak, Usage, add_children, process_peak

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
    work = {"compute": Work(seconds=2.0, bytes=0, patches=10)}
    add_children([(ProcessPeak(GIB, 2 * GIB, 3 * GIB), work), (ProcessPeak(2 * GIB, GIB, 4 * GIB), work)])
    usage = meter.read()
    assert usage.peak_memory_gib == pytest.approx(alone.peak_memory_gib + 3, abs=0.1)
    assert (usage.peak_gpu_allocated_gib, usage.peak_gpu_reserved_gib) == (2, 4)
    compute = usage.phases["compute"]
    assert (compute.seconds, compute.patches, compute.patches_per_second) == (4.0, 20, 5.0)
    assert usage.sentence().endswith("GiB of memory, 2.00 GiB of GPU memory, 4.00 GiB of it reserved")
    again = Meter().read()
    assert again.peak_gpu_reserved_gib is None
    assert again.phases == {}


def test_the_table_adds_times_and_takes_the_highest_peak_of_tasks_of_one_name():
    def used(task, seconds, memory, gpu=None):
        usage = Usage(seconds=seconds, cpu_seconds=2 * seconds, peak_memory_gib=memory, peak_gpu_reserved_gib=gpu)
        return named_usage(task, task, usage)

    lines = usage_table(
        {"cut": 12.0, "train": 30.0}, [used("cut", 11, 1.5), used("train", 10, 2, 8), used("train", 15, 3, 6)]
    )
    assert [line.split() for line in lines[1:]] == [
        ["cut", "12.0", "22.0", "1.50", "-"],
        ["train", "30.0", "50.0", "3.00", "8.00"],
    ]


def used(task, seconds, title=""):
    phases = {"read": PhaseUsage.of(Work(1.0, 3_000_000, 50))}
    return named_usage(task, title or task, Usage(seconds=seconds, cpu_seconds=1, peak_memory_gib=1, phases=phases))


def test_phases_are_told_with_their_rates_and_the_rest_of_the_time():
    assert used("cut", 2.5).phases_sentence() == "read 1.0 s (3 MB/s, 50 patches/s), other 1.5 s"
    assert used("cut", 0.5).other_seconds == 0
    assert PhaseUsage.of(Work(2.0, 1_024_000, 164_600)).rate == "0.512 MB/s, 82,300 patches/s"
    assert Usage(seconds=1, cpu_seconds=1, peak_memory_gib=1).phases_sentence() == ""


def test_a_run_keeps_the_timings_of_results_that_it_reuses(tmp_path):
    first = [used("cut", 1.0, "Cut"), used("train seed 0", 2.0, "Train"), used("train seed 1", 2.0, "Train")]
    write_timings(tmp_path, [*first, used("evaluate", 1.0, "Evaluate")], [])
    write_timings(tmp_path, [used("train seed 1", 5.0, "Train")], ["Cut", "Train"])
    assert [(entry.task, entry.seconds) for entry in read_timings(tmp_path)] == [
        ("cut", 1.0),
        ("train seed 0", 2.0),
        ("train seed 1", 5.0),
    ]


def test_commands_that_write_into_one_folder_add_to_its_timings_one_by_one(tmp_path):
    for entry in (used("preprocess", 1.0), used("evaluate", 2.0), used("preprocess", 3.0)):
        write_timings(tmp_path, [entry])
    assert [(entry.task, entry.seconds) for entry in read_timings(tmp_path)] == [("evaluate", 2.0), ("preprocess", 3.0)]


def test_a_file_of_that_name_that_somebody_else_wrote_is_kept(tmp_path, capsys):
    (tmp_path / "timings.json").write_text('{"lap": 3}')
    write_timings(tmp_path, [used("cut", 1.0)])
    assert (tmp_path / "timings.json").read_text() == '{"lap": 3}'
    assert "was not written by histoforge and was kept" in capsys.readouterr().err


def test_the_memory_of_another_process_counts_once_it_has_ended():
    meter = Meter()
    before = meter.read().peak_memory_gib
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    subprocess.run([sys.executable, "-c", f"block = b'x' * {largest + 50 * MIB}"], check=True)
    assert meter.read().peak_memory_gib * GIB > before * GIB + largest + 50 * MIB
    assert Meter().read().peak_memory_gib * GIB < before * GIB + largest
