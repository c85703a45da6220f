"""Plan the shards into which a pipeline divides the slides of its source, to cut them side by side."""

from collections.abc import Mapping
from typing import Any

from histoforge.core.errors import SettingsError
from histoforge.core.text import counted
from histoforge.ingest import shards as ingest_shards
from histoforge.ingest.opening import detect_kind
from histoforge.ingest.shards import MAX_SHARD_SLIDES, MAX_SHARDS, list_versions
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.settings import step_config
from histoforge.steps.table import STEPS
from histoforge.storage import open_location

ALL_SLIDES: dict[str, Any] = {"shard": "1 of 1", "slides": []}
"""A single shard, which lists no slides and so means all of them.

A pipeline always has one, because Kubeflow cannot collect outputs from a loop over an empty list
(`resolveUpstreamArtifacts` of backend/src/v2/driver/resolve.go in kubeflow/pipelines at 7b70c7b).
"""


def plan_shards(
    source: str, shards: int, preset: str, overrides: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | bool]
) -> list[dict[str, Any]]:
    """Return the shards of a source: the name of each, and its slides with their versions.

    Images and HDF5 files are never divided.

    Args:
        source: location of the slides.
        shards: number of shards; 0 for as many as the size of the slides suggests.
        preset, overrides, given: as for `scan_source.run`.

    Raises:
        SettingsError: the number is out of its bounds.
        SourceError: there are no slides or images.
        StorageError: the location does not answer.
    """
    if not 0 <= shards <= MAX_SHARDS:
        raise SettingsError(f"shards is {shards}: give 1 to {MAX_SHARDS}, or 0 for a number by size.")
    cut = given.get("preprocess")
    values = {**(cut if isinstance(cut, Mapping) else {}), "source": source}
    config = step_config(STEPS["preprocess"], preset, overrides, values)
    assert isinstance(config, PreprocessConfig)
    if shards == 1:
        return [ALL_SLIDES]
    location = open_location(source)
    entries = location.source_entries()
    kind = detect_kind(entries, location, config.labels) if config.kind == "auto" else config.kind
    slides = list_versions(entries) if kind == "slides" else []
    parts = ingest_shards.plan_shards(slides, shards)
    if len(parts) == 1:
        return [ALL_SLIDES]
    if max(map(len, parts)) > MAX_SHARD_SLIDES:
        raise SettingsError(
            f"shards is {shards}, too few for {counted(len(slides), 'slides')}: one may have {MAX_SHARD_SLIDES} slides."
        )
    return [
        {"shard": f"{number} of {len(parts)}", "slides": [slide.text for slide in part]}
        for number, part in enumerate(parts, start=1)
    ]
