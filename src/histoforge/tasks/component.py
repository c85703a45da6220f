"""Functions that a component's body calls, from the form's settings to the content that the Kubeflow UI shows."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histoforge import __version__
from histoforge.core.claims import Output, claimed
from histoforge.core.errors import EXIT_CODE, HistoforgeError, explain_os_error
from histoforge.core.output import guard_output
from histoforge.core.progress import say
from histoforge.core.settings import Settings
from histoforge.core.signals import INTERRUPTED, TERMINATED
from histoforge.generators.methods import title
from histoforge.steps.table import step_config, step_named, step_overrides
from histoforge.tasks import distributed_launch
from histoforge.tasks.artifact_metadata import artifact_metadata
from histoforge.tasks.task_log import relay_to_run
from histoforge.tasks.task_outputs import (
    TASK,
    Artifact,
    ClassificationArtifact,
    MetricsArtifact,
    log_numbers,
    markdown_table,
    write_report,
    write_text,
)
from histoforge.tasks.usage import Meter


def run_step(
    name: str,
    *,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    inputs: Mapping[str, Artifact | list[Artifact | None] | None],
    outputs: Mapping[str, Artifact],
    metrics: MetricsArtifact,
    summary: Artifact,
) -> Settings:
    """Run a step as a task of a pipeline.

    Args:
        name: name of the step.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value; integers may come as floats.
        given: the component's own parameters; an empty one ('' or 0) is left to the preset.
        inputs: artifacts by the step's keyword; None if one was not given.
        outputs: artifacts to write, by the step's keyword.
        metrics: gets the summary's numbers.
        summary: gets the summary as Markdown: the step's own `markdown`, or else a table.

    Returns:
        The step's summary.

    Raises:
        SystemExit: with code 2 if the user is at fault; the last line is then the error's sentence.
    """
    with task(_label(name, given)) as meter:
        result = _run(name, preset, overrides, given, inputs, outputs)
        values = result.model_dump(mode="json")
        markdown = values.pop("markdown", "")
        write_report(metrics, summary, values, markdown or markdown_table(name, values), meter)
        return result


def run_evaluate(
    *,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    inputs: Mapping[str, Artifact | list[Artifact | None] | None],
    outputs: Mapping[str, Artifact],
    metrics: MetricsArtifact,
    classification: ClassificationArtifact,
    summary: Artifact,
) -> Settings:
    """Run `evaluate` as a task of a pipeline, like `run_step`, with the summary in the forms that the UI draws."""
    with task("evaluate") as meter:
        result: Any = _run("evaluate", preset, overrides, given, inputs, outputs)
        classification.log_confusion_matrix(result.confusion.categories, result.confusion.matrix)
        if result.roc is not None:
            classification.log_roc_curve(result.roc.fpr, result.roc.tpr, result.roc.threshold)
        write_text(classification, result.confusion.model_dump_json())
        write_report(metrics, summary, result.metrics, result.markdown, meter)
        return result


def _run(
    name: str,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Any],
    inputs: Mapping[str, Artifact | list[Artifact | None] | None],
    outputs: Mapping[str, Artifact],
) -> Any:
    step = step_named(name)
    config = step_config(step, preset, overrides, given)
    paths: dict[str, Any] = {key: _paths(value) for key, value in inputs.items()}
    paths.update({key: Path(artifact.path) for key, artifact in outputs.items()})
    for key in outputs:
        paths[key].parent.mkdir(parents=True, exist_ok=True)
    kinds = {port.name: port.kind for port in step.outputs}
    read = {f"{key} {path}": path for key in inputs for path in _listed(paths[key])}
    # The launcher names the outputs for this task only, so the remains of a killed attempt are replaced.
    with claimed([Output(paths[key], kinds[key]) for key in outputs], read, overwrite=True):
        result = distributed_launch.run(step, config, paths)
    for artifact in outputs.values():
        artifact.metadata.update({"seed": config.seed, **artifact_metadata(Path(artifact.path))})
        artifact.metadata.update({"preset": preset, "code_version": __version__})
    return result


@contextmanager
def task(label: str) -> Iterator[Meter]:
    """End a task with one sentence if the user is at fault, and with a traceback only for a bug.

    Yields a meter of its time and memory, which are printed when it ends well.
    """
    guard_output()
    relay = relay_to_run(label)
    meter = Meter()
    try:
        yield meter
        usage = meter.read()
        relay.used(usage.model_dump_json()) if relay else say(f"done in {usage.sentence()}")
    except (HistoforgeError, OSError) as error:
        sentence = explain_os_error(error) if isinstance(error, OSError) else str(error)
        if not sentence:
            raise
        relay.end(sentence) if relay else say(sentence)
        sys.stdout.flush()
        sys.exit(EXIT_CODE)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    except SystemExit as stop:
        if relay and stop.code in (TERMINATED, INTERRUPTED):
            relay.end(f"{label} was stopped: run the same command again to go on from there.")
        raise


def _paths(value: Artifact | list[Artifact | None] | None) -> Any:
    """Return the paths of artifacts; for a list, those that were given."""
    if isinstance(value, list):
        return [Path(one.path) for one in value if one is not None]
    return None if value is None else Path(value.path)


def _listed(paths: Path | list[Path] | None) -> list[Path]:
    return paths if isinstance(paths, list) else [] if paths is None else [paths]


def _label(name: str, given: Mapping[str, Any]) -> str:
    kind = next((str(given[key]) for key in ("arm", "rule", "name", "method") if given.get(key)), "")
    seed = f"seed {given['seed']}" if "seed" in given and (given.get("name") or given.get("method")) else ""
    shown = title(kind, given.get("reward", ""))
    return " ".join(word for word in (name, shown, given.get("only_class"), seed) if word)


def run_scan(
    source: str,
    preset: str,
    overrides: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any] | bool],
    sizes: Mapping[str, str],
    metrics: MetricsArtifact,
    summary: Artifact,
) -> tuple[Any, ...]:
    """Check a pipeline's settings and list its source; see `scan_source.run` and `sizes.resolve_sizes`.

    Returns:
        The source's digest; the overrides of each step of `scan_source.STEPS_OF_PIPELINES`, in that order; the sizes.
    """
    from histoforge.tasks import scan_source
    from histoforge.tasks.sizes import resolve_sizes

    with task("scan_source") as meter:
        resolved = resolve_sizes(sizes)
        result = scan_source.run(source, preset, overrides, given)
        say(f"{result.source} holds {result.files} files, {result.bytes / 1e6:.1f} MB")
        values = result.model_dump()
        write_report(metrics, summary, values, markdown_table("scan_source", values), meter)
    parts = (step_overrides(step_named(step), overrides) for step in scan_source.STEPS_OF_PIPELINES)
    return result.digest, *parts, *resolved


def run_plan_cells(
    ratios: list[float], pool_multiples: list[float], metrics: MetricsArtifact
) -> tuple[list[dict[str, Any]], float]:
    """List the cells of a study and its largest pool; see `plan_study.plan_cells`."""
    from histoforge.tasks.plan_study import plan_cells

    with task("plan_cells") as meter:
        cells = plan_cells(ratios, pool_multiples)
        say(f"{len(cells)} cells of ratio and pool")
        log_numbers(metrics, {"cells": len(cells), TASK: meter.read().model_dump()})
    return cells, max(cell["pool_multiple"] for cell in cells)


def run_plan_fractions(fractions: list[float]) -> list[dict[str, Any]]:
    """List the fractions of a study; see `plan_study.plan_fractions`."""
    from histoforge.tasks.plan_study import plan_fractions

    with task("plan_fractions"):
        return plan_fractions(fractions)


def run_plan_benchmark(
    methods: list[str],
    generator_seeds: int,
    seed: int,
    preset: str,
    overrides: Mapping[str, Any],
    downstream_seeds: int,
    patch_size: str = "",
) -> list[dict[str, Any]]:
    """List the runs of a benchmark; see `plan_benchmark.plan_benchmark`."""
    from histoforge.tasks.plan_benchmark import plan_benchmark

    with task("plan_benchmark"):
        runs = plan_benchmark(methods, generator_seeds, seed, preset, overrides, downstream_seeds, patch_size)
        say(f"{len(runs)} generators: {', '.join(dict.fromkeys(run['title'] for run in runs))}")
    return runs


def run_plan_classes(
    patches: Artifact, run: Mapping[str, Any], preset: str, overrides: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """List the trainings of one run; see `plan_benchmark.plan_classes`."""
    from histoforge.patches.patchset import read_info
    from histoforge.tasks.plan_benchmark import plan_classes

    with task("plan_classes"):
        return plan_classes(run, read_info(Path(patches.path)).classes, preset, overrides)
