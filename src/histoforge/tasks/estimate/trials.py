"""Run each step of a pipeline once on a few patches, with trainings of a few steps, to measure what it takes."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from histoforge.core.errors import HistoforgeError, SettingsError
from histoforge.core.progress import Progress
from histoforge.core.settings import StepConfig
from histoforge.patches import PatchSetWriter
from histoforge.patches.images import Pixels
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.step import Port, Step
from histoforge.steps.table import STEPS
from histoforge.steps.train_generator_config import TrainGeneratorConfig, method_config
from histoforge.tasks.estimate.sample import SourceSample
from histoforge.tasks.pipeline_plan import Task
from histoforge.tasks.usage import Meter, Usage
from histoforge.training.timing import MeasuredTraining, timing_trial

SPLITS = ("train", "val", "test")
LEAST_PER_CELL = 24
"""Fewest patches of each class and split in the trial; a generator of each class needs a batch of them."""
PATIENTS = 3
"""Patients of each split."""
DRAWN = 64
"""Most patches that a step draws in the trial, where it draws a number that does not depend on the patch set."""
MADE_BY = {
    "extractor": "model",
    "arms": "model",
    "baseline": "model",
    "challenger": "model",
    "synthetic": "selected",
    "generators": "generator",
    "upscaler_model": "upscaler",
    "generator_scores": "scores",
    "candidates": "synthetic",
}
"""The output of another step that an input takes, where the two have different names."""


@dataclass(frozen=True)
class StepTrial:
    """The time and memory of a step in the trial.

    Attributes:
        usage: time, phases and memory.
        trainings: its training runs.
        bytes: size of each output on disk, by name.
        drawn: the number of patches that it drew at most, if its settings ask for more; 0 otherwise.
    """

    usage: Usage
    trainings: list[MeasuredTraining]
    bytes: dict[str, int]
    drawn: int = 0


@dataclass
class Trials:
    """The trials of a pipeline's steps.

    Attributes:
        done: the trials, by `Task.trial`.
        failed: why the others were not possible.
        per_cell: patches of each class and split.
    """

    per_cell: int
    done: dict[str, StepTrial] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def try_tasks(tasks: Sequence[Task], cutting: PreprocessConfig, sample: SourceSample, folder: Path) -> Trials:
    """Try the steps of tasks in the order of a pipeline, each on what the ones before it made.

    Of tasks with the same step and method, the first is tried.

    Args:
        tasks: tasks with a step, without those that read the source.
        cutting: settings of `preprocess`.
        sample: patches of the source, of which small patch sets are made.
        folder: an empty folder for everything that is made.
    """
    batches = [method_config(task.config).batch_size for task in tasks if isinstance(task.config, TrainGeneratorConfig)]
    trials = Trials(max(LEAST_PER_CELL, *batches, 0))

    def patch_set(name: str, size: tuple[int, int], mpp: float | None, images: Pixels) -> Path:
        return _patch_set(folder / name, sample.classes, trials.per_cell, size, mpp, images)

    made = {"patches": patch_set("patches", cutting.size, cutting.mpp, sample.images)}
    if len(sample.overviews):
        made["overviews"] = patch_set("overviews", cutting.overview_px, None, sample.overviews)
    for task in tasks:
        if task.trial in {*trials.done, *trials.failed} or task.config is None:
            continue
        step = STEPS[task.step]
        try:
            trials.done[task.trial] = _try(step, task.config, made, folder / task.trial)
        except HistoforgeError as error:
            trials.failed[task.trial] = str(error)
            continue
        for port in step.outputs:
            if port.kind == "generator" or port.name not in made:  # a joined generator replaces its parts
                made[port.name] = folder / task.trial / port.name
    return trials


def _try(step: Step, config: StepConfig, made: Mapping[str, Path], folder: Path) -> StepTrial:
    """Run a step.

    Raises:
        HistoforgeError: no step before it made an input that it needs, or it refuses its settings or inputs.
    """
    shortened = {"seeds": 1, "fold": -1, "checkpoints": "", "checkpoint_every": 0, "test_source": "", "only_class": ""}
    drawn = min(DRAWN, getattr(config, "count", 0))
    shortened |= {"count": drawn} if drawn else {}
    config = config.model_copy(update={key: value for key, value in shortened.items() if getattr(config, key, None)})
    outputs = {port.name: folder / port.name for port in step.outputs}
    folder.mkdir()
    meter = Meter()
    with contextlib.redirect_stderr(io.StringIO()), Progress("trial", total=1), timing_trial(trainings=0) as trial:
        step.run(config, **_inputs(step, made), **outputs)
    sizes = {name: _bytes(path) for name, path in outputs.items()}
    return StepTrial(meter.read(), trial.measured, sizes, drawn)


def _inputs(step: Step, made: Mapping[str, Path]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for port in step.inputs:
        path = made.get(MADE_BY.get(port.name, port.name))
        if port.name == "arms" and port.optional:  # those of the leaderboard were trained on what a generator drew
            path = None
        if path is None and not port.optional:
            raise SettingsError(f"no step before it was tried that makes its input {port.name}")
        inputs[port.name] = _given(port, path)
    return inputs


def _given(port: Port, path: Path | None) -> Any:
    if path is None:
        return [] if port.many else None
    return [path] if port.many else path


def _patch_set(
    folder: Path, classes: list[str], per_cell: int, size: tuple[int, int], mpp: float | None, images: Pixels
) -> Path:
    """Write a patch set with equally many patches of each class and split, which repeats the given images."""
    with PatchSetWriter.create(folder, classes, size, mpp) as writer:
        for split_number, split in enumerate(SPLITS):
            count = per_cell * len(classes)
            rows = (np.arange(count) + split_number * count) % len(images)
            patients = [f"{split}-{row % PATIENTS}" for row in range(len(rows))]
            labels = np.arange(len(rows)) % len(classes)
            writer.add(
                images[rows], label=labels, patient=patients, slide=patients, x=np.arange(len(rows)), split=split
            )
        writer.finish({"step": "estimate"})
    return folder


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
