"""The external test of `evaluate`: a second source, cut like the patch set, on which nothing was chosen.

Stain normalisation has a published target, so that it learns nothing from either source.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histoforge.core.errors import PatchSetError
from histoforge.core.progress import say
from histoforge.core.text import counted, join_words, quoted
from histoforge.evaluation.external import repeated_rows, with_classes
from histoforge.evaluation.inputs import TestUnits
from histoforge.ingest.external import external_config
from histoforge.patches import PatchSet
from histoforge.steps import preprocess
from histoforge.steps.preprocess_config import PreprocessConfig

SAME_MPP = 0.05


@contextmanager
def external_patches(source: str, real: PatchSet, patient_pattern: str = "") -> Iterator[PatchSet]:
    """Yield the patches of an external source, cut like a patch set, with its class names and labels.

    Args:
        source: folder, or s3:// or minio:// prefix, of slides or images.
        real: the patch set; its patches must not be among the external ones.
        patient_pattern: how the external files name patients; '' if they do so like those of the patch set.

    Raises:
        SettingsError: the source is that of the patch set.
        PatchSetError: the patch set does not say how it was cut; classes or resolution differ; or both contain the
            same patches.
        HistoforgeError: the source cannot be read.
    """
    config = external_config(source, _cutting(real), patient_pattern)
    with tempfile.TemporaryDirectory(prefix="histoforge-") as folder:
        path = Path(folder) / "patches"
        say(f"evaluate: cutting the external test from {source}")
        preprocess.run(config, patches=path, overviews=Path(folder) / "overviews")
        external = with_classes(PatchSet.open(path), real, source)
        _check_resolution(external, real, source)
        _check_apart(external, real, source)
        yield external


def _cutting(real: PatchSet) -> PreprocessConfig:
    recorded = real.info.made_by.get("config")
    if real.info.made_by.get("step") != "preprocess" or not isinstance(recorded, dict):
        raise PatchSetError(
            "The patch set does not say how it was cut, so test_source cannot be cut in the same way: make the patch "
            "set with 'histoforge preprocess'."
        )
    return PreprocessConfig.make({k: v for k, v in recorded.items() if k in PreprocessConfig.model_fields})


def _check_resolution(external: PatchSet, real: PatchSet, source: str) -> None:
    first, second = external.info.mpp, real.info.mpp
    if first and second and abs(first / second - 1) > SAME_MPP:
        raise PatchSetError(
            f"The patches of test_source {source} have {first:.3g} um/px and those of the patch set {second:.3g}: give "
            "a source that can be cut at the same resolution."
        )


def _check_apart(external: PatchSet, real: PatchSet, source: str) -> None:
    rows = repeated_rows(external, real)
    if not len(rows):
        return
    files = list(dict.fromkeys(external.index["slide"].astype(str).iloc[rows]))
    raise PatchSetError(
        f"{counted(len(rows), 'patches')} of test_source {source} with the same pixels occur in the patch set "
        f"({join_words(quoted(files[:3]))}): take out what is in both sources."
    )


def external_warnings(external: PatchSet, real: PatchSet, units: TestUnits) -> list[str]:
    """Return what lessens the worth of the external test, one sentence each."""
    summary = external.info.made_by.get("summary") or {}
    warnings = [] if units.name == "patients" else [f"The external source names no patients, so {units.name} count."]
    external_patients, own_patients = (set(patches.index["patient"].astype(str)) - {""} for patches in (external, real))
    if (shared := sorted(external_patients & own_patients)) and units.name == "patients":
        warnings.append(
            f"{counted(len(shared), 'patients')} of the external test have the name of a patient in the patch set "
            f"({join_words(quoted(shared[:3]))}): if they are the same persons, these results are too good."
        )
    failed = [str(failure["name"]) for failure in summary.get("failed", [])]
    if failed:
        examples = join_words(failed[:5])
        warnings.append(f"{len(failed)} slides or images of the external source were skipped: {examples}.")
    for name, count in zip(external.classes, external.counts, strict=True):
        if not count:
            warnings.append(f"Class '{name}' has no patch in the external test: scores that need it are undefined.")
    return warnings
