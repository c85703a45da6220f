"""Preset, seed and overrides of each step of a pipeline."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl


@dataclass(frozen=True)
class StepSettings:
    """The settings that every step takes.

    Each step gets its own part of the overrides, which `scan_source` returns once it has checked them. Kubeflow looks
    up cached results by all inputs of a task, and a changed setting of the classifiers must not cut patches anew.

    Attributes:
        scan: the task of `scan_source`.
        preset: name of the preset.
        seed: of all random choices.
    """

    scan: dsl.PipelineTask
    preset: Any
    seed: Any

    def of(self, step: str, **more: Any) -> dict[str, Any]:
        """Return `seed`, `preset` and `overrides` of a step, updated by `more`."""
        overrides = self.scan.outputs[f"{step}_overrides"]
        return {"seed": self.seed, "preset": self.preset, "overrides": overrides, **more}
