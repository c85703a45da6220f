"""Check a pipeline's settings and that its source is reachable before any long task starts."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from histoforge.classifiers.encoders.description import read_description
from histoforge.core.digests import digest_json
from histoforge.core.errors import HistoforgeError, SettingsError, SourceError
from histoforge.core.settings import Settings, StepConfig
from histoforge.ingest.external import check_classes, external_config
from histoforge.steps.evaluate_config import EvaluateConfig
from histoforge.steps.preprocess_config import PreprocessConfig
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.steps.settings import all_settings
from histoforge.steps.train_classifier_config import TrainClassifierConfig
from histoforge.storage import Entry, Location, digest_of_source, open_location

MAX_ANNOTATION_BYTES = 50_000_000
"""Limit of the annotations that a scan reads; above it, only `preprocess` tells how many patients have a class."""


class ScanSummary(Settings):
    """The files at the source.

    Attributes:
        source: the location.
        files: number of files.
        bytes: their total size.
        warnings: reasons for which the pipeline's report may draw no conclusion, as far as the names of the files, the
            table of labels and small annotations show.
        digest: over the names, sizes and versions of all files that `preprocess` may read, wherever they are; other
            files, or files changed in place, give another digest.
        test_digest: the same of the external test source; '' if there is none.
    """

    source: str
    files: int
    bytes: int
    digest: str
    test_digest: str = ""
    warnings: list[str]


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
        ModelError: if the file of an encoder is missing or damaged.
        StorageError: if the location does not exist, is empty, or does not answer.
    """
    cut = given.get("preprocess")
    given = {**given, "preprocess": {"source": source, **(cut if isinstance(cut, Mapping) else {})}}
    settings = all_settings(preset, overrides, given)
    cutting = settings["preprocess"]
    assert isinstance(cutting, PreprocessConfig)
    if 0 in cutting.ratios:
        raise SettingsError(
            f"preprocess: 'split_ratios' is {cutting.split_ratios}, and a pipeline needs training, validation and test "
            "patches: give three numbers above 0."
        )
    _check_encoders(settings)
    location = open_location(source)
    entries = location.source_entries()
    return ScanSummary(
        source=str(location),
        files=len(entries),
        bytes=sum(entry.size for entry in entries),
        digest=_digest(cutting),
        test_digest=_check_test_source(settings, cutting, location, entries),
        warnings=[*expected_warnings(cutting, location, entries), *_seed_warning(settings, given)],
    )


def with_encoders(overrides: Mapping[str, Any], encoders: Sequence[str]) -> dict[str, Any]:
    """Return overrides with these encoders for the steps that compute distances in their spaces; [] changes nothing."""
    steps = ("score_generator", "evaluate") if encoders else ()
    return {**overrides, **{f"{step}.encoders": list(encoders) for step in steps}}


def _check_encoders(settings: Mapping[str, StepConfig]) -> None:
    """Read the file of each encoder, but not its weights.

    Raises:
        ModelError: it is missing or damaged.
    """
    for config in settings.values():
        if isinstance(config, EvaluateConfig | ScoreGeneratorConfig):
            for encoder in config.encoders:
                read_description(encoder)
        elif isinstance(config, TrainClassifierConfig) and config.encoder:
            read_description(config.encoder)


def _check_test_source(
    settings: Mapping[str, StepConfig], cutting: PreprocessConfig, location: Location, entries: list[Entry]
) -> str:
    """Check the external test source of `evaluate`, and return its digest; '' if there is none.

    Raises:
        SettingsError: it is the source itself.
        SourceError: its table or the names of its files cannot be used.
        PatchSetError: its classes, as far as file names, table and small annotations show, are others.
        StorageError: it does not exist, is empty, or does not answer.
    """
    evaluation = settings.get("evaluate")
    if not isinstance(evaluation, EvaluateConfig) or not evaluation.test_source:
        return ""
    config = external_config(evaluation.test_source, cutting, evaluation.test_patient_pattern)
    test = open_location(config.source)
    external = source_classes(config, test, test.source_entries())
    with suppress(SourceError):  # `preprocess` will say what is wrong with the source itself
        if external and (classes := source_classes(cutting, location, entries)):
            check_classes(external, classes, config.source)
    return _digest(config)


def source_classes(config: PreprocessConfig, location: Location, entries: list[Entry]) -> list[str]:
    """Return the classes of a source; empty if its annotations are too large to be read now."""
    from histoforge.slides.annotations import EXTENSIONS

    if sum(entry.size for entry in entries if entry.name.lower().endswith(EXTENSIONS)) > MAX_ANNOTATION_BYTES:
        return []
    return read_classes(config, location, entries)


def read_classes(config: PreprocessConfig, location: Location, entries: list[Entry]) -> list[str]:
    """Return the classes of a source, from its names, its table and its annotations."""
    from histoforge.ingest.opening import open_source
    from histoforge.ingest.source import ReadLog

    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        log = ReadLog(str(location), config.max_failed_slides, Path(temporary))
        return list(open_source(config, location, entries, log).classes)


def expected_warnings(config: PreprocessConfig, location: Location, entries: list[Entry]) -> list[str]:
    """Return warnings about the split; none if only `preprocess` can tell, or will stop with an error."""
    from histoforge.evaluation.feasibility import outline_warnings
    from histoforge.ingest.opening import open_source
    from histoforge.ingest.source import ReadLog
    from histoforge.ingest.splitting import SplitSettings
    from histoforge.slides.annotations import EXTENSIONS

    annotations = open_location(config.annotations).source_entries() if config.annotations else entries
    if sum(entry.size for entry in annotations if entry.name.lower().endswith(EXTENSIONS)) > MAX_ANNOTATION_BYTES:
        return []
    with tempfile.TemporaryDirectory(prefix="histoforge-") as temporary:
        log = ReadLog(str(location), config.max_failed_slides, Path(temporary))
        try:
            return outline_warnings(SplitSettings.of(config), open_source(config, location, entries, log))
        except HistoforgeError:
            return []


def _seed_warning(settings: Mapping[str, StepConfig], given: Mapping[str, Mapping[str, Any] | bool]) -> list[str]:
    """Return a warning about too few seeds, except where classifiers only serve to compare generators (use='real')."""
    fixed = given.get("train_classifier")
    classifier = settings.get("train_classifier")
    if not isinstance(classifier, TrainClassifierConfig) or (isinstance(fixed, Mapping) and fixed.get("use")):
        return []
    from histoforge.evaluation.feasibility import seed_warning

    return seed_warning(classifier.seeds)


def _digest(config: PreprocessConfig) -> str:
    locations = filter(None, (config.source, config.annotations))
    digests = [digest_of_source(open_location(location)) for location in locations]
    if config.labels:
        folder, _, name = config.labels.rpartition("/")
        entries = open_location(folder or ".").source_entries()
        digests.append(digest_json([[entry.size, entry.version] for entry in entries if entry.name == name]))
    return digest_json(digests)
