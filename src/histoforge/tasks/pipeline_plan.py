"""The plan of a pipeline: its tasks, settings, and estimates of its trainings, made without running it."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histoforge.core.settings import StepConfig
from histoforge.core.text import duration
from histoforge.generators.methods import METHODS
from histoforge.patches import PatchSetWriter
from histoforge.steps.step import Step
from histoforge.steps.table import STEPS
from histoforge.steps.train_generator_config import method_config
from histoforge.tasks.dry_run import NOT_INCLUDED, measure, resolved, shown_training

TRIAL_PATCHES = 256
UNKNOWN = "depends on the number of training patches, which preprocess determines"
BY_METHOD = "depends on the method: 'histoforge {command} --method NAME --dry-run' on its inputs shows one"


class Task(NamedTuple):
    """A task of a pipeline.

    Attributes:
        title: title in the UI.
        step: name of the step, or '' for a helper task.
        times: number of times that it runs, or None if an earlier task decides.
    """

    title: str
    step: str
    times: int | None


def tasks(spec: Any, lengths: Mapping[str, int] | None = None) -> list[Task]:
    """Return the tasks of a compiled pipeline (`pipeline_spec`), with the number of runs of those in loops.

    Args:
        spec: the compiled pipeline.
        lengths: number of items of the loops over these outputs of `scan_source`, 'folds' and 'generators', and of
            those over the output of `plan_judge`, 'sets'.
    """
    return list(_walk(spec, spec.root.dag, 1, lengths or {}))


def plan_pipeline(
    spec: Any, settings: Mapping[str, StepConfig], scan: Any, lengths: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return the tasks of a pipeline, the settings of its steps, and the estimates of its trainings.

    Trainings run for a few steps on random patches of the size that `preprocess` would cut.

    Args:
        spec: the compiled pipeline.
        settings: settings of all steps.
        scan: the summary of `scan_source`.
        lengths: see `tasks`.
    """
    steps = tasks(spec, lengths)
    used = [name for name in STEPS if any(task.step == name for task in steps)]
    names = [f"{task.title}{_times(task.times)}" for task in steps]
    plan: dict[str, Any] = {
        "pipeline": spec.pipeline_info.name,
        "source": {"path": scan.source, "files": scan.files, "megabytes": round(scan.bytes / 1e6, 1)},
        **({"warnings": scan.warnings} if scan.warnings else {}),
        "tasks": names,
        "settings": {name: resolved(name, settings[name]) for name in used if name in settings},
    }
    with tempfile.TemporaryDirectory() as folder:
        patches = _random_patches(Path(folder), settings["preprocess"])
        plan["trainings"] = {
            name: _training(STEPS[name], settings.get(name), patches) for name in used if STEPS[name].trains
        }
    return plan


def _walk(spec: Any, dag: Any, times: int | None, lengths: Mapping[str, int]) -> Iterator[Task]:
    waiting, done = dict(dag.tasks), set[str]()
    while waiting:
        name = next(name for name, task in waiting.items() if set(task.dependent_tasks) <= done)
        task = waiting.pop(name)
        done.add(name)
        component = spec.components[task.component_ref.name]
        if component.HasField("dag"):
            yield from _walk(spec, component.dag, _product(times, _items(task, lengths)), lengths)
        else:
            step = re.sub(r"-\d+$", "", task.component_ref.name.removeprefix("comp-")).replace("-", "_")
            step = "train_generator" if step == "enter_generator" else step
            yield Task(task.task_info.name or name, step if step in STEPS else "", times)


def _items(task: Any, lengths: Mapping[str, int]) -> int | None:
    """Return the number of items that a sub-pipeline runs for; None if another task decides."""
    if not task.HasField("parameter_iterator"):
        return 1
    raw = task.parameter_iterator.items.raw
    if not raw:
        listed = task.parameter_iterator.items.input_parameter
        return lengths.get("sets" if listed.endswith("plan-judge-Output") else listed.rpartition("scan-source-")[2])
    return len(json.loads(raw))


def _product(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second


def _times(times: int | None) -> str:
    return {1: "", None: " (several times)"}.get(times, f" ({times} times)")


def _training(step: Step, config: Any, patches: Path) -> Any:
    if config is None or _needs_models(step, config):
        return BY_METHOD.format(command=step.name.replace("_", "-"))
    paths = {"patches": patches, "overviews": patches}
    measured, memory = measure(step, config, {port.name: paths.get(port.name) for port in step.inputs})
    limits = [_most_steps(step.name, config, training.steps) for training in measured]
    repeats = config.seeds if step.name == "train_classifier" else 1
    shown = [
        shown_training(training) | {"steps": limit or UNKNOWN} for training, limit in zip(measured, limits, strict=True)
    ]
    time = UNKNOWN
    if None not in limits:
        seconds = repeats * sum(
            limit * training.seconds_per_step for limit, training in zip(limits, measured, strict=True) if limit
        )
        time = f"at most about {duration(seconds)} per task, from a trial on random patches; {NOT_INCLUDED}"
    return {"trainings": shown, "trainings_per_task": repeats, "estimate": {"time": time, "memory": memory}}


def _needs_models(step: Step, config: Any) -> bool:
    """Return whether the step's method needs a model that an earlier task trains."""
    if step.name == "train_upscaler":
        return bool(config.method == "latent_sr")
    return step.name == "train_generator" and METHODS[config.method].needs_models


def _most_steps(step: str, config: Any, measured: int) -> int | None:
    """Return the largest number of steps of a training on any number of patches, or None if there is no limit."""
    if step == "finetune_snn":
        return measured if config.stage1_epoch_steps and config.stage2_epoch_steps else None
    if step == "train_generator":
        config = method_config(config)
    if getattr(config, "epoch_steps", 0):
        return measured
    return getattr(config, "max_steps", 0) or None


def _random_patches(folder: Path, config: Any) -> Path:
    """Return a patch set as `preprocess` would cut it, with random pixels, whose content does not affect the speed."""
    rng = np.random.default_rng(0)
    classes = config.class_list or ["one", "two"]
    with PatchSetWriter.create(folder / "patches", classes, config.size, config.mpp) as writer:
        for split in ("train", "val"):
            for patient in (1, 2):
                images = rng.integers(0, 256, (TRIAL_PATCHES // 4, *config.size, 3), dtype=np.uint8)
                labels = np.arange(len(images)) % len(classes)
                name = f"{split}-{patient}"
                writer.add(images, label=labels, patient=name, slide=name, x=np.arange(len(images)), split=split)
        writer.finish({"step": "dry_run"})
    return folder / "patches"
