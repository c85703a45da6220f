"""The task of a benchmark that provides a run's generator: it is trained, or somebody else made it.

One task does both, because Kubeflow can collect neither from a loop over an empty list nor from a skipped task.
"""

from collections.abc import Mapping
from typing import Any

from histoforge.steps.table import STEPS
from histoforge.tasks.step_task import Inputs, run_step
from histoforge.tasks.task_outputs import Artifact, MetricsArtifact


def run_enter_generator(
    step: str,
    given: Mapping[str, Any],
    *,
    preset: str,
    overrides: Mapping[str, Any],
    inputs: Inputs,
    generator: Artifact,
    metrics: MetricsArtifact,
    summary: Artifact,
) -> None:
    """Run the step that trains or imports; see `run_step`.

    Args:
        step: 'train_generator', 'import_generator', or 'import_patches' for a set of patches in place of a generator.
        given: parameters of all three steps; each gets its own.
        preset: name of a preset, or ''.
        overrides: those of the step.
        inputs: artifacts by keyword; an import needs `patches` alone.
        generator: the artifact to write.
        metrics, summary: get the summary of the step.
    """
    entry = STEPS.named(step)
    fields, ports = entry.config_class.model_fields, {port.name for port in entry.inputs}
    run_step(
        step,
        preset=preset,
        overrides=overrides,
        given={name: value for name, value in given.items() if name in fields},
        inputs={name: artifact for name, artifact in inputs.items() if name in ports},
        outputs={entry.outputs[0].name: generator},
        metrics=metrics,
        summary=summary,
    )
