"""The tasks of a pipeline run, and the time and memory that they would take."""

from copy import deepcopy
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from histoforge.cli.run.rehearsal import rehearse
from histoforge.cli.run.request import check_request
from histoforge.cli.run.spec_loops import remove_loops_over
from histoforge.core.settings import StepConfig
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.settings import all_settings
from histoforge.storage import open_location
from histoforge.tasks.pipeline_plan import Task
from histoforge.tasks.scan_source import ScanSummary, read_classes

if TYPE_CHECKING:
    from histoforge.tasks.estimate.pipeline import Estimate


class PlannedRun(NamedTuple):
    """What a pipeline would run.

    Attributes:
        name: its name.
        tasks: its tasks.
        settings: settings of all steps.
        scan: the summary of the source.
    """

    name: str
    tasks: list[Task]
    settings: dict[str, StepConfig]
    scan: ScanSummary


def plan_run(name: str, source: str, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what `run_pipeline` would do with these arguments, without writing anything; see `tasks.pipeline_plan`."""
    from histoforge.tasks.pipeline_plan import plan_pipeline

    planned = planned_run(name, source, preset, overrides)
    return plan_pipeline(planned.name, planned.tasks, planned.settings, planned.scan)


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
    planned = planned_run(name, source, preset, {**overrides, "shards": 1})
    return estimate_pipeline(planned.name, planned.tasks, planned.scan, gpus)


def planned_run(name: str, source: str, preset: str, overrides: dict[str, Any]) -> PlannedRun:
    """Return what `run_pipeline` would run with these arguments.

    Raises:
        HistoforgeError: it would refuse them, or a task that plans others would.
    """
    request = check_request(name, source, preset, overrides)
    settings = all_settings(preset, request.for_all_steps, {**request.fixed, "preprocess": {"source": request.source}})
    spec, cutting = deepcopy(request.pipeline.pipeline_spec), settings["preprocess"]
    assert isinstance(cutting, PreprocessConfig)
    if int(request.parameters["shards"]) == 1:
        remove_loops_over(spec, "shards")
    location = open_location(request.source)
    classes = read_classes(cutting, location, location.source_entries())
    arguments = {"preset": preset, "overrides": request.overrides, **request.parameters}
    return PlannedRun(spec.pipeline_info.name, rehearse(spec, arguments, classes), settings, request.scan)
