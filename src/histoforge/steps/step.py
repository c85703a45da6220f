"""A step and a task as they are registered: names, inputs, outputs and resources. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, get_type_hints

from histoforge.core.settings import StepConfig

SIZES = ("cutting", "training", "evaluating")
"""Sizes of tasks that a pipeline's parameters set, such as `cpu_training`; tasks of size 'small' have fixed ones."""
RETRIES = 2
"""Retries of a task whose pod was deleted: preempted, drained with its node, or lost with it.

A pipeline cannot choose which failures are retried: Kubeflow's compiler gives Argo a limit and a backoff but no policy
(`getTaskRetryStrategyFromInput` of backend/src/v2/compiler/argocompiler/container.go in kubeflow/pipelines at 7b70c7b),
and Argo's configuration that comes with Kubeflow Pipelines 2.17 adds `retryPolicy: OnError` for all templates
(manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml). A lost pod is an error. An
exit code is a failure, even if a container was killed for its memory; docs/kubeflow.md says how to retry those too.
"""


@dataclass(frozen=True)
class Port:
    """An input or output of a step.

    Attributes:
        name: the keyword of the step's `run`.
        about: its description, for `--help` and the component's README.
        optional: True if the step can do without it.
        many: True if it is a list.
        file: its name under `--out`; '' if it is `--out` itself.
        kind: for an output, a key of `core.results.KINDS` or `FILE_KINDS`.
    """

    name: str
    about: str
    optional: bool = False
    many: bool = False
    file: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The requirements of a Kubeflow component's task; `histoforge_pipelines.resources` turns them into requests.

    Attributes:
        name: name of the component's folder.
        size: 'small', or one of `SIZES`.
        gpu: True if it uses a GPU.
        torch: True if it imports torch; other tasks run in the slim image.
        hours: time limit of one attempt.
        reads_slides: True if it reads slides, so that a volume of slides is mounted.
        side_effects: True if it reads or changes something that is not among its inputs or outputs, so that its result
            is never taken from the cache.
    """

    name: str
    size: str = "small"
    gpu: bool = False
    torch: bool = False
    hours: int = 1
    reads_slides: bool = False
    side_effects: bool = False

    def __post_init__(self) -> None:
        if self.size not in ("small", *SIZES):
            raise ValueError(f"{self.name} has the size '{self.size}': choose 'small' or one of {', '.join(SIZES)}")


@dataclass(frozen=True, kw_only=True)
class Step(Task):
    """A step: the function `run(config, *, inputs, outputs)` of a module, with its settings `<Name>Config` beside it.

    Attributes:
        name: name in code; the command has dashes instead of underscores.
        about: its task, in one sentence.
        inputs, outputs: the ports that it reads and writes.
        trains: True if it trains networks, so that a dry run measures some training steps.
        distributed: True if it uses all GPUs that it is given, with one process per GPU.
        label: text by parameter, which names a task in logs; '{}' stands for the parameter's value. Parameters without
            a value are left out.
        separate_overrides: True if `scan_source` has an output with the overrides of this step alone, so that
            overrides of other steps leave its cached results valid.
        settings_of: the step whose section of presets, settings files and overrides it shares; '' for its own.
        module: the module with `run`; '' for `histoforge.steps.<name>`. Its settings are in `<module>_config`.
    """

    about: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    trains: bool = False
    distributed: bool = False
    label: Mapping[str, str] = field(default_factory=dict)
    separate_overrides: bool = False
    settings_of: str = ""
    module: str = ""

    @property
    def section(self) -> str:
        """The name under which presets, settings files and overrides have its settings."""
        return self.settings_of or self.name

    @property
    def config_class(self) -> type[StepConfig]:
        """The class of the step's settings."""
        module = import_module(f"{self._module}_config")
        config: type[StepConfig] = getattr(module, "".join(map(str.capitalize, self.name.split("_"))) + "Config")
        return config

    @property
    def summary_class(self) -> Any:
        """The class of what `run` returns. This imports torch and the step's other dependencies."""
        return get_type_hints(import_module(self._module).run)["return"]

    def run(self, config: StepConfig, **paths: Any) -> Any:
        """Run the step in this process. This imports torch and its other dependencies.

        Args:
            config: its settings.
            paths: its inputs and outputs by keyword.
        """
        return import_module(self._module).run(config, **paths)

    @property
    def _module(self) -> str:
        return self.module or f"histoforge.steps.{self.name}"
