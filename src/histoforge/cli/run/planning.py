"""The tasks of a pipeline run, and the time and memory that they would take."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from histoforge.cli.run.request import check_request
from histoforge.cli.run.spec_loops import remove_loops_over
from histoforge.core.settings import StepConfig
from histoforge.steps.settings import all_settings
from histoforge.tasks.plan_folds import plan_controls
from histoforge.tasks.scan_source import ScanSummary

if TYPE_CHECKING:
    from histoforge.tasks.estimate.pipeline import Estimate


def plan_run(name: str, source: str, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what `run_pipeline` would do with these arguments, without writing anything; see `tasks.pipeline_plan`."""
    from histoforge.tasks.pipeline_plan import plan_pipeline

    return plan_pipeline(*_planned(name, source, preset, overrides))


def estimate_run(name: str, source: str, preset: str, overrides: dict[str, Any], gpus: int = 1) -> "Estimate":
    """Return what `run_pipeline` would take with these arguments, without writing anything; see `tasks.estimate`.

    Args:
        name, source, preset, overrides: as for `run_pipeline`; the slides are cut in one task.
        gpus: GPUs that share a training.
    """
    from histoforge.cli.run.task_processes import PRELOADED
    from histoforge.tasks.estimate.pipeline import estimate_pipeline

    for module in PRELOADED:  # as the tasks of a run find them
        import_module(module)
    return estimate_pipeline(*_planned(name, source, preset, {**overrides, "shards": 1}), gpus=gpus)


def _planned(
    name: str, source: str, preset: str, overrides: dict[str, Any]
) -> tuple[Any, dict[str, StepConfig], ScanSummary, dict[str, int]]:
    """Return the compiled pipeline, the settings of its steps, the summary of the source, and the lengths of loops."""
    request = check_request(name, source, preset, overrides)
    settings = all_settings(preset, request.for_all_steps, {**request.fixed, "preprocess": {"source": request.source}})
    lengths = {
        "folds": max(1, request.folds),
        "generators": int(request.parameters.get("generator_seeds", 1)),
        "sets": len(request.parameters.get("synthetic", ())),
    }
    if shards := int(request.parameters["shards"]):
        lengths["shards"] = shards
    if shards == 1:
        remove_loops_over(request.pipeline.pipeline_spec, "shards")
    if doses := request.pipeline.component_spec.inputs.get("control_doses"):
        given = request.parameters.get("control_doses", doses.default)
        lengths["real_arms"] = len(plan_controls(given, preset, request.for_all_steps, request.fixed))
    return request.pipeline.pipeline_spec, settings, request.scan, lengths
