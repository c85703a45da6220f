"""The request for a pipeline on this machine, checked before anything starts."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from histoforge_pipelines.table import local_pipelines

from histoforge.cluster.packages import open_package
from histoforge.core.errors import SettingsError
from histoforge.steps.settings import parameters
from histoforge.tasks import scan_source
from histoforge.tasks.plan_folds import plan_folds

OWN = ("seed", "seeds", "folds", "slide_cache", "images_location")
"""Parameters of steps that are the pipeline's where it has them: it passes them to its tasks itself."""
LOCATIONS = {
    "test_source": "it compares no arms on test patches",
    "synthetic": "it draws its synthetic patches itself",
    "entrants": "it has no leaderboard, or one of its own methods alone",
}
"""Parameters of a pipeline itself that name a location to read, or a list of them, besides the source, with the reason
for which other pipelines have none."""


class Request(NamedTuple):
    """The checked request of a command line.

    Attributes:
        pipeline: kfp's pipeline.
        source: the absolute location.
        parameters: parameters of the pipeline itself.
        overrides: overrides for its steps.
        for_all_steps: the overrides with the pipeline's seeds and folds.
        fixed: settings of the pipeline itself, by step.
        folds: number of folds of a cross-validation; 0 for a single split.
        scan: the summary of the source.
    """

    pipeline: Any
    source: str
    parameters: dict[str, Any]
    overrides: dict[str, Any]
    for_all_steps: dict[str, Any]
    fixed: dict[str, Any]
    folds: int
    scan: scan_source.ScanSummary


def check_request(name: str, source: str, preset: str, overrides: dict[str, Any]) -> Request:
    """Return what a run of a pipeline is asked to do, after checking its parameters, its overrides and its source.

    Args:
        name: name of the pipeline.
        source: location of the slides or images; a relative path becomes absolute.
        preset: name of a preset, or ''.
        overrides: parameters of the pipeline, and overrides for its steps.

    Raises:
        HistoforgeError: a parameter is unknown or out of its bounds, or the source cannot be used.
    """
    entry = local_pipelines().named(name)
    source = _absolute(source)
    pipeline = entry.load()
    values, for_steps = split_overrides(overrides, set(pipeline.component_spec.inputs))
    values = open_package(name).check({"source": source, **values})
    for unused, reason in LOCATIONS.items():
        if unused in for_steps:
            raise SettingsError(f"The pipeline {entry.name} has no '{unused}': {reason}.")
    places = (*LOCATIONS, "slide_cache", "images_location", "encoders")
    values |= {name: _absolute_each(values[name]) for name in places if values.get(name)}
    values.setdefault("shards", 1)
    for_all = for_steps | {name: values[name] for name in (*OWN, "test_source") if name in values}
    for_all = scan_source.with_encoders(for_all, values.get("encoders", []))
    scan = scan_source.run(source, preset, for_all, entry.fixed)
    folds = plan_folds(source, preset, for_all, entry.fixed)
    number = len(folds) if len(folds) > 1 else 0
    return Request(pipeline, source, values, for_steps, for_all, dict(entry.fixed), number, scan)


def _absolute(location: str) -> str:
    return location if "://" in location else str(Path(os.path.expanduser(location)).resolve())


def _absolute_each(locations: Any) -> Any:
    """Make a location, or each of a list of them, absolute."""
    return [_absolute(str(each)) for each in locations] if isinstance(locations, list) else _absolute(str(locations))


def split_overrides(overrides: dict[str, Any], inputs: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split overrides into those of the pipeline itself, whose parameters are `inputs`, and those of its steps."""
    # `encoders` of the method vitgan, a number of layers, is set as train_generator.encoders
    for_steps = parameters() - {*OWN, *LOCATIONS, "encoders"}
    for_pipeline = {key: value for key, value in overrides.items() if key in inputs - for_steps}
    return for_pipeline, {key: value for key, value in overrides.items() if key not in for_pipeline}
