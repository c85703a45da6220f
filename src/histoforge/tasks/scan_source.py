"""Check a pipeline's settings and that its source is reachable before any long task starts."""

from collections.abc import Mapping
from typing import Any

from histoforge.core.digests import digest_json
from histoforge.core.errors import SettingsError
from histoforge.core.settings import Settings
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.table import all_settings
from histoforge.storage import digest_of_source, open_location


class ScanSummary(Settings):
    """The files at the source.

    Attributes:
        source: the location.
        files: number of files.
        bytes: their total size.
        digest: over the names, sizes and versions of all files that `preprocess` may read, wherever they are; other
            files, or files changed in place, give another digest.
    """

    source: str
    files: int
    bytes: int
    digest: str


def run(
    source: str, preset: str, overrides: Mapping[str, Any], given: Mapping[str, Mapping[str, Any] | bool]
) -> ScanSummary:
    """Check the settings of all steps and list the source, without reading a slide.

    Args:
        source: folder, or s3:// or minio:// prefix.
        preset: name of a preset, or ''.
        overrides: `step.parameter` or `parameter` to value.
        given: settings of the pipeline itself, by step; False for a step whose settings another task checks.

    Raises:
        SettingsError: if a preset, step or parameter is unknown, a value is out of its bounds, or a split is missing.
        StorageError: if the location does not exist, is empty, or does not answer.
    """
    cut = given.get("preprocess")
    given = {**given, "preprocess": {"source": source, **(cut if isinstance(cut, Mapping) else {})}}
    cutting = all_settings(preset, overrides, given)["preprocess"]
    assert isinstance(cutting, PreprocessConfig)
    if 0 in cutting.ratios:
        raise SettingsError(
            f"preprocess: 'split_ratios' is {cutting.split_ratios}, and a pipeline needs training, validation and test "
            "patches: give three numbers above 0."
        )
    location = open_location(source)
    entries = location.source_entries()
    return ScanSummary(
        source=str(location),
        files=len(entries),
        bytes=sum(entry.size for entry in entries),
        digest=_digest(cutting),
    )


def _digest(config: PreprocessConfig) -> str:
    locations = filter(None, (config.source, config.annotations))
    digests = [digest_of_source(open_location(location)) for location in locations]
    if config.labels:
        folder, _, name = config.labels.rpartition("/")
        entries = open_location(folder or ".").source_entries()
        digests.append(digest_json([[entry.size, entry.version] for entry in entries if entry.name == name]))
    return digest_json(digests)
