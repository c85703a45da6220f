"""Run a step as a task of a pipeline: from a component's parameters to the content that the Kubeflow UI shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from histoforge import __version__
from histoforge.core.claims import Output, claimed
from histoforge.core.settings import Settings
from histoforge.steps.settings import is_given, step_config
from histoforge.steps.step import Step
from histoforge.steps.table import STEPS
from histoforge.tasks import distributed_launch
from histoforge.tasks.artifact_metadata import artifact_metadata
from histoforge.tasks.task_outputs import (
    Artifact,
    ClassificationArtifact,
    MetricsArtifact,
    markdown_table,
    write_report,
    write_text,
)
from histoforge.tasks.task_process import task_process

Inputs = Mapping[str, Artifact | list[Artifact | None] | None]


def run_step(
    name: str,
    *,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    inputs: Inputs,
    outputs: Mapping[str, Artifact],
    metrics: MetricsArtifact,
    summary: Artifact,
) -> Settings:
    """Run a step as a task of a pipeline.

    Args:
        name: name of the step.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value; integers may come as floats.
        given: the component's own parameters, as for `step_config`.
        inputs: artifacts by the step's keyword; None if one was not given.
        outputs: artifacts to write, by the step's keyword.
        metrics: gets the summary's numbers.
        summary: gets the summary as Markdown: the step's own `markdown`, or else a table.

    Returns:
        The step's summary.

    Raises:
        SystemExit: with code 2 if the user is at fault; the last line is then the error's sentence.
    """
    step = STEPS.named(name)
    with task_process(task_label(step, given)) as meter:
        result = _run(step, preset, overrides, given, inputs, outputs)
        values = result.model_dump(mode="json")
        markdown = values.pop("markdown", "")
        write_report(metrics, summary, values, markdown or markdown_table(name, values), meter)
        return result


def run_evaluate(
    *,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    inputs: Inputs,
    outputs: Mapping[str, Artifact],
    metrics: MetricsArtifact,
    classification: ClassificationArtifact,
    summary: Artifact,
) -> Settings:
    """Run `evaluate` as a task of a pipeline, like `run_step`, with the summary in the forms that the UI draws."""
    step = STEPS["evaluate"]
    with task_process(task_label(step, given)) as meter:
        result = _run(step, preset, overrides, given, inputs, outputs)
        classification.log_confusion_matrix(result.confusion.categories, result.confusion.matrix)
        if result.roc is not None:
            classification.log_roc_curve(result.roc.fpr, result.roc.tpr, result.roc.threshold)
        write_text(classification, result.confusion.model_dump_json())
        write_report(metrics, summary, result.metrics, result.markdown, meter)
        return result


def task_label(step: Step, given: Mapping[str, Any]) -> str:
    """Return the name of a task in logs: the step's, with the parameters that distinguish it from similar tasks."""
    values = {name: given.get(name) for name in step.label}
    return step.name + "".join(
        step.label[name].format(value) for name, value in values.items() if is_given(name, value)
    )


def _run(
    step: Step,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    inputs: Inputs,
    outputs: Mapping[str, Artifact],
) -> Any:
    config = step_config(step, preset, overrides, given)
    paths: dict[str, Any] = {key: _paths(value) for key, value in inputs.items()}
    paths.update({key: Path(artifact.path) for key, artifact in outputs.items()})
    for key in outputs:
        paths[key].parent.mkdir(parents=True, exist_ok=True)
    kinds = {port.name: port.kind for port in step.outputs}
    read = {f"{key} {path}": path for key in inputs for path in _as_list(paths[key])}
    # The launcher names the outputs for this task only, so the remains of a killed attempt are replaced.
    with claimed([Output(paths[key], kinds[key]) for key in outputs], read, overwrite=True):
        result = distributed_launch.run(step, config, paths)
    for artifact in outputs.values():
        artifact.metadata.update({"seed": config.seed, **artifact_metadata(Path(artifact.path))})
        artifact.metadata.update({"preset": preset, "code_version": __version__})
    return result


def _paths(value: Artifact | list[Artifact | None] | None) -> Any:
    """Return the paths of artifacts; for a list, those that were given."""
    if isinstance(value, list):
        return [Path(artifact.path) for artifact in value if artifact is not None]
    return None if value is None else Path(value.path)


def _as_list(paths: Path | list[Path] | None) -> list[Path]:
    return paths if isinstance(paths, list) else [] if paths is None else [paths]
