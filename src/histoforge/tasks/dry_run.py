"""Describe what a step would do: its settings, the sizes of its inputs and, for a training, a measured estimate.

The only thing written is a temporary folder, which is removed afterwards.
"""

import math
import resource
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoforge.core.progress import Progress
from histoforge.core.settings import StepConfig
from histoforge.core.text import duration
from histoforge.steps.table import Step
from histoforge.steps.train_generator_config import TrainGeneratorConfig, method_config
from histoforge.tasks.artifact_metadata import artifact_metadata

if TYPE_CHECKING:
    from histoforge.training.timing import MeasuredTraining

SHOWN = ("kind", "method", "arm", "classes", "patch_size", "mpp", "counts", "seeds")
NOT_INCLUDED = "reading data, scoring between epochs and writing the result come on top"


def dry_run(step: Step, config: StepConfig, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a readable description of what the step would do.

    Args:
        step: the step.
        config: its settings.
        inputs: paths of its inputs by keyword.

    Raises:
        HistoforgeError: if a training would refuse its settings or inputs.
    """
    descriptions = {name: _input(path) for name, path in inputs.items() if path}
    plan = {"step": step.name, "settings": resolved(step.name, config), "inputs": descriptions}
    if step.name == "preprocess":
        plan |= _source_plan(config)
    if not step.trains:
        return {**plan, "estimate": "this step has no training steps to measure"}
    trainings, memory = measure(step, config, inputs)
    shares = [_steps(step.name, config, descriptions.get("patches", {}), training.steps) for training in trainings]
    seconds = sum(steps * training.seconds_per_step for steps, training in zip(shares, trainings, strict=True))
    time = f"about {duration(seconds)}, from a trial of a few steps; {NOT_INCLUDED}"
    return {
        **plan,
        "trainings": [shown_training(training) for training in trainings],
        "steps": sum(shares),
        "estimate": {"time": time, "memory": memory},
    }


def resolved(step: str, config: StepConfig) -> dict[str, Any]:
    """Return the settings that the step uses as plain values; for a generator, those of its method."""
    if isinstance(config, TrainGeneratorConfig):
        return {"method": config.method, **method_config(config).model_dump(mode="json")}
    return config.model_dump(mode="json")


def measure(step: Step, config: StepConfig, inputs: Mapping[str, Any]) -> "tuple[list[MeasuredTraining], str]":
    """Run a training for a few steps, with its outputs in a temporary folder.

    Args:
        step: a step that trains.
        config: its settings.
        inputs: paths of its inputs by keyword.

    Returns:
        The trainings that differ from each other (the first seed of a classifier, the first class of a generator), and
        the memory that they used.
    """
    from histoforge.training.timing import timing_trial

    config = config.model_copy(update={"checkpoints": "", "checkpoint_every": 0})
    quiet = Progress("trial", total=1)
    with tempfile.TemporaryDirectory() as scratch, quiet, timing_trial(_different(config)) as current:
        step.run(config, **inputs, **{port.name: Path(scratch) / port.name for port in step.outputs})
    return current.measured, _memory()


def shown_training(training: "MeasuredTraining") -> dict[str, Any]:
    """Return a measured training as a plan displays it."""
    shown = {"label": training.label, "steps": training.steps, "parameters": training.parameters}
    return {**shown, "seconds_per_step": float(f"{training.seconds_per_step:.2g}")}


def _different(config: Any) -> int:
    """Return how many trainings of a step differ; for the guide, these are its stages and those of its ablations."""
    if not getattr(config, "stage1", False):
        return 1
    return 4 if config.ablations else 2


def _steps(step: str, config: Any, patches: Mapping[str, Any], measured: int) -> int:
    """Return the total steps of all trainings that resemble the measured one, of `measured` steps."""
    if step == "train_classifier":
        return int(config.seeds * measured)
    if step == "train_generator":
        config = method_config(config)
    if not getattr(config, "class_wise", False) or config.only_class:
        return measured
    counts = patches["counts"]["train"].values()
    steps = [config.epochs * (config.epoch_steps or math.ceil(count / config.batch_size)) for count in counts]
    return sum(min(config.max_steps or count, count) for count in steps)


def _input(path: Path | list[Path]) -> Any:
    if isinstance(path, list):
        return [_input(item) for item in path]
    metadata = artifact_metadata(path)
    return {"path": str(path), **{name: metadata[name] for name in SHOWN if name in metadata}}


def _source_plan(config: Any) -> dict[str, Any]:
    """Return the source of `preprocess` as its input, and the warnings about its split that are known now."""
    from histoforge.storage import open_location
    from histoforge.tasks.scan_source import expected_warnings

    location = open_location(config.source)
    entries = location.source_entries()
    size = sum(entry.size for entry in entries)
    source = {"path": config.source, "files": len(entries), "megabytes": round(size / 1e6, 1)}
    warnings = expected_warnings(config, location, entries)
    return {"inputs": {"source": source}, **({"warnings": warnings} if warnings else {})}


def _memory() -> str:
    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    text = f"{peak / 1e9:.1f} GB in the trial"
    return f"{text}, {torch.cuda.max_memory_allocated() / 1e9:.1f} GB on the GPU" if torch.cuda.is_available() else text
