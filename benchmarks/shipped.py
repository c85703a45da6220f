"""The trainings that ship, as the benchmarks time them: a method's own `train` with its engine, data and history."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timing import now
from torch import Tensor

from histoforge.generators.config import GeneratorConfig
from histoforge.generators.methods import METHODS
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.siamese.guide import Guide
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo


class TimedEngine(Engine):
    """Engine that records the time at which each step ends."""

    def end_of_step(self, **values: Tensor) -> None:
        """End the step as the engine does and record the time; only the last step writes a checkpoint."""
        super().end_of_step(**values)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.ends = [*getattr(self, "ends", []), now()]


def random_patches(path: Path, count: int, size: int, classes: int = 1) -> PatchSet:
    """Write patches of random pixels, with equal numbers per class."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    with PatchSetWriter.create(path, [f"class {label}" for label in range(classes)], (size, size), 0.5) as writer:
        writer.add(pixels, label=np.arange(count) % classes, patient="p")
        writer.finish({"step": "benchmark"}, split=["train"] * count)
    return PatchSet.open(path)


def describe(method: str, config: GeneratorConfig, patches: PatchSet) -> ModelInfo:
    """Return the description that the model would have."""
    return ModelInfo(
        kind="generator",
        method=method,
        config=config.model_dump(),
        classes=patches.classes,
        patch_size=patches.patch_size,
    )


def seconds_per_step(
    method: str, config: Any, patches: PatchSet, guide: Guide | None = None
) -> tuple[float, Any, torch.dtype]:
    """Time a method's own training; return the seconds of its fastest step, the final generator and the precision.

    If the generator is updated only in every `n_critic`-th step, that many steps are timed together.
    """
    info = describe(method, config, patches)
    guided = {"guide": guide} if METHODS[method].guided else {}
    with tempfile.TemporaryDirectory() as work:
        engine = TimedEngine(Path(work), {}, device=config.device, checkpoint_every=0, label=method)
        result = METHODS[method].train(config, patches, engine, None, info, **guided)
    cycle, ends = getattr(config, "n_critic", 1), engine.ends[:-1]
    fastest_cycle = min(after - before for before, after in zip(ends, ends[cycle:], strict=False))
    return fastest_cycle / cycle, result.generator, engine.dtype
