"""Estimate the time, memory, storage and GPU hours of a pipeline on a source, before it is run."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from histoforge.core.settings import Settings
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.table import STEPS
from histoforge.tasks.estimate.extrapolation import RULE, Expected, bytes_of, expected_patches, memory_of, seconds_of
from histoforge.tasks.estimate.sample import SourceSample, cut_sample
from histoforge.tasks.estimate.trials import Trials, try_tasks
from histoforge.tasks.pipeline_plan import Task
from histoforge.tasks.scan_source import ScanSummary
from histoforge.tasks.usage import GIB

UNKNOWN = (
    "how fast another machine is: a trial on the machine that will do the work shows that",
    "the start of pods and processes, the transfer of artifacts between them, and waiting for a free GPU",
    "early stopping, retries, and results that a cache already has",
    "patches that are dropped as duplicates, and slides that differ much from those of the sample",
)
HOUR = 3600


class TaskEstimate(Settings):
    """The estimate of one task.

    Attributes:
        task: its title.
        step: its step.
        times: how often it runs.
        seconds: time of one run.
        gpu_hours: GPU hours of all its runs.
        memory_gib: peak memory of the host; None if the task was not tried.
        storage_gib: size of the results of all its runs.
        not_tried: why there is no estimate; '' if there is one.
    """

    task: str
    step: str
    times: int
    seconds: float = 0.0
    gpu_hours: float = 0.0
    memory_gib: float | None = None
    storage_gib: float = 0.0
    not_tried: str = ""


class Estimate(Settings):
    """The estimate of a pipeline on a source.

    Attributes:
        pipeline, source: what was estimated.
        files, sampled: files of the source, and slides or images that were cut as a sample.
        patches: expected patches by class.
        device: where the trial ran, 'cpu' or the name of the GPU.
        gpus: GPUs that share a training.
        tasks: the estimates, in the order of the pipeline.
        seconds: time of all tasks, one after the other.
        gpu_hours: GPU hours of all tasks, if those that request a GPU take as long as in the trial.
        memory_gib: the largest peak of a task.
        storage_gib: size of all results.
        rule: how it extrapolates.
        unknown: what it cannot know.
    """

    pipeline: str
    source: str
    files: int
    sampled: int
    patches: dict[str, int]
    device: str
    gpus: int
    tasks: list[TaskEstimate]
    seconds: float
    gpu_hours: float
    memory_gib: float
    storage_gib: float
    rule: tuple[str, ...] = RULE
    unknown: tuple[str, ...] = UNKNOWN


def estimate_pipeline(name: str, tasks: Sequence[Task], scan: ScanSummary, gpus: int = 1) -> Estimate:
    """Cut a sample of the source, try each step on it for a moment, and extrapolate.

    Args:
        name: name of the pipeline.
        tasks: its tasks; those of `preprocess` cut the slides themselves.
        scan: the summary of `scan_source`.
        gpus: GPUs that share a training, in steps that can use several.

    Raises:
        HistoforgeError: the source cannot be used.
    """
    planned = [task for task in tasks if task.step]
    cutting = _whole_patch_set(planned)
    sample = cut_sample(cutting)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as folder:
        trials = try_tasks([task for task in planned if task.step != "preprocess"], cutting, sample, Path(folder))
    arms: list[tuple[int, Any]] = [(task.times, task.config) for task in planned if task.step == "train_classifier"]
    expected = expected_patches(
        cutting,
        int(sample.counts.sum()),
        in_trial=trials.per_cell * len(sample.classes),
        classifiers=sum(times * config.seeds for times, config in arms),
        training=trials.done.get("train_classifier"),
        batch_size=arms[0][1].batch_size if arms else 1,
    )
    estimates = [_estimate(task, trials, sample, expected, gpus) for task in planned]
    return Estimate(
        pipeline=name,
        source=scan.source,
        files=scan.files,
        sampled=sample.files,
        patches=dict(zip(sample.classes, sample.counts.tolist(), strict=True)),
        device=_device(),
        gpus=gpus,
        tasks=estimates,
        seconds=sum(each.seconds * each.times for each in estimates),
        gpu_hours=sum(each.gpu_hours for each in estimates),
        memory_gib=max(each.memory_gib or 0.0 for each in estimates),
        storage_gib=sum(each.storage_gib for each in estimates),
    )


def _whole_patch_set(tasks: Sequence[Task]) -> PreprocessConfig:
    """Return the settings of the task that cuts all patches; others cut a fraction of them, or larger images."""
    configs = [task.config for task in tasks if isinstance(task.config, PreprocessConfig)]
    return min(configs, key=lambda config: (-config.train_fraction, config.overview_px))


def _estimate(task: Task, trials: Trials, sample: SourceSample, expected: Expected, gpus: int) -> TaskEstimate:
    named = {"task": task.title, "step": task.step, "times": task.times}
    if task.step == "preprocess":
        size = int(sample.counts.sum()) * expected.patch_bytes
        return TaskEstimate(
            **named,
            seconds=sample.seconds,
            memory_gib=sample.usage.peak_memory_gib,
            storage_gib=task.times * size / GIB,
        )
    if task.trial not in trials.done:
        return TaskEstimate(**named, not_tried=trials.failed[task.trial])
    step, trial = STEPS[task.step], trials.done[task.trial]
    seconds = seconds_of(step, trial, task.config, expected)
    shared = gpus if step.distributed and step.gpu else 1
    return TaskEstimate(
        **named,
        seconds=seconds / shared,
        gpu_hours=task.times * seconds / HOUR if step.gpu else 0.0,
        memory_gib=memory_of(step, trial, expected),
        storage_gib=task.times * bytes_of(step, trial, task.config, expected) / GIB,
    )


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
