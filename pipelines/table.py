"""The pipelines by name. Imports nothing heavy: kfp is imported when a pipeline is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from histoforge.core.registry import Registry


@dataclass(frozen=True)
class Pipeline:
    """A pipeline: a function of its module, with the compiled YAML beside it.

    Attributes:
        name: its name in Kubeflow and on the command line, with dashes.
        title: its name in the UI.
        fixed: parameters that the pipeline sets itself, by step, and that no override may change; False for a step
            whose settings another of its tasks checks.
        local: True if `histoforge run` offers it, which needs the outputs `report` and `metrics`, and no required
            parameter besides `source`.
        gitops: True if `manifests/components/gitops` has it as Kubernetes resources.
        module: the module with its function; '' for `histoforge_pipelines.<function>`.
    """

    name: str
    title: str
    fixed: Mapping[str, Mapping[str, Any] | bool] = field(default_factory=dict)
    local: bool = True
    gitops: bool = False
    module: str = ""

    @property
    def function(self) -> str:
        """The name of its function, and of its YAML file."""
        return self.name.replace("-", "_")

    def load(self) -> Any:
        """Return kfp's pipeline."""
        return getattr(import_module(self.module or f"histoforge_pipelines.{self.function}"), self.function)


_SELECTIVE = {
    "train_classifier": {"arm": "baseline", "augmentation": "none"},
    "select_samples": {"rule": "entropy_centroid"},
}
_NO_CONTROL = {"control_share": 0.0}
"""Trains on the patches that a preset holds back for the arm of a positive control."""

_BENCHMARK: dict[str, Mapping[str, Any] | bool] = {
    "preprocess": _NO_CONTROL,
    "train_classifier": {"arm": "baseline", "use": "real"},
    "train_generator": False,  # `plan_benchmark` checks it, for each method
}

_JUDGE: dict[str, Mapping[str, Any] | bool] = {**_SELECTIVE, "train_generator": False}

_UNIFIED: dict[str, Mapping[str, Any] | bool] = {
    "preprocess": _NO_CONTROL,
    "train_classifier": {"arm": "baseline", "augmentation": "none"},
    "select_samples": {"rule": "confidence"},
    "train_generator": False,  # `plan_unified` checks it, for each network
}

_PATHUP: dict[str, Mapping[str, Any] | bool] = {
    "preprocess": _NO_CONTROL,
    "train_classifier": {"arm": "extractor", "augmentation": "none"},
    "train_generator": False,  # `plan_pathup` checks it, for each method
}

PIPELINES = Registry(
    "pipeline",
    (
        Pipeline("selective-augmentation", "Selective synthetic augmentation", _SELECTIVE),
        Pipeline("augmentation-study", "Augmentation study", _SELECTIVE),
        Pipeline("judge", "Judge of synthetic patches of any origin", _JUDGE),
        Pipeline("rleo", "Guided GAN (RL-EO) and its baselines", _BENCHMARK),
        Pipeline("generator-benchmark", "Generator benchmark", _BENCHMARK),
        Pipeline("unified", "One network against two stages", _UNIFIED),
        Pipeline("pathup", "Large images by latent diffusion (PathUp)", _PATHUP),
        Pipeline("retraining", "Retraining", _SELECTIVE, local=False, gitops=True),
    ),
)


def local_pipelines() -> Registry[Pipeline]:
    """Return the pipelines that `histoforge run` offers."""
    return Registry("pipeline", (entry for entry in PIPELINES.values() if entry.local))
