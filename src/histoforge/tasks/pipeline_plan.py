"""The plan of a pipeline: its tasks, settings, and estimates of its trainings, made without running it."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
        times: number of times that it runs.
        config: settings of the step in the first of them; None for a helper task.
    """

    title: str
    step: str
    times: int
    config: StepConfig | None

    @property
    def trial(self) -> str:
        """The name of the trial that tells what it takes: the step's, and that of its method if it has several."""
        return f"{self.step}-{getattr(self.config, 'method', '')}".rstrip("-")


def in_order(spec: Any) -> Iterator[tuple[str, str]]:
    """Yield kfp's name and the title in the UI of each task, in the order of a pipeline.

    Args:
        spec: the compiled pipeline (`pipeline_spec`).
    """
    yield from _walk(spec, spec.root.dag)


def component_of(task: Any) -> str:
    """Return the component of a task in a compiled pipeline: the name of its folder."""
    return re.sub(r"-\d+$", "", task.component_ref.name.removeprefix("comp-")).replace("-", "_")


def plan_pipeline(name: str, tasks: Sequence[Task], settings: Mapping[str, StepConfig], scan: Any) -> dict[str, Any]:
    """Return the tasks of a pipeline, the settings of its steps, and the estimates of its trainings.

    Trainings run for a few steps on random patches of the size that `preprocess` would cut.

    Args:
        name: name of the pipeline.
        tasks: its tasks.
        settings: settings of all steps.
        scan: the summary of `scan_source`.
    """
    used = [name for name in STEPS if any(task.step == name for task in tasks)]
    names = [f"{task.title} ({task.times} times)" if task.times > 1 else task.title for task in tasks]
    plan: dict[str, Any] = {
        "pipeline": name,
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


def _walk(spec: Any, dag: Any) -> Iterator[tuple[str, str]]:
    waiting, done = dict(sorted(dag.tasks.items())), set[str]()
    while waiting:
        name = next(name for name, task in waiting.items() if set(task.dependent_tasks) <= done)
        task = waiting.pop(name)
        done.add(name)
        component = spec.components[task.component_ref.name]
        if component.HasField("dag"):
            yield from _walk(spec, component.dag)
        else:
            yield name, task.task_info.name or name


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
