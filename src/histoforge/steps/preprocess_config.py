"""Parameters and summary of the step `preprocess`."""

from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.ingest.config import Failure, IngestConfig


class PreprocessConfig(IngestConfig):
    """Settings for turning slides, image folders or PatchCamelyon files into a patch set split by patient."""


class PreprocessSummary(Settings):
    """The result of `preprocess`.

    Attributes:
        kind: 'slides', 'images' or 'pcam'.
        source_digest: digest over names, sizes and versions of all files at the source.
        mpp: um/px of the patches, or None if it is unknown or mixed.
        counts: patches by split and class.
        patients: patients by split; images if no patients are known.
        patients_by_class: patients by split and class.
        patients_known: True if the source identifies patients. If not, each image (for slides, each slide) counts as
            one patient, and no result mentions patients.
        split_by: 'patient', 'slide' (weaker: a patient may be in two splits) or 'source' (the source's own).
        control_by: what was held back for the positive control: 'patient', 'slide', 'patch' (of training patients), or
            '' if there is no control.
        folds: number of folds of a cross-validation; 0 for a single split. With folds, the numbers by split are those
            of the first fold.
        tested: patients by class, each of whom the folds test once, and under '' of all classes together; empty for a
            single split.
        files: slides or images that yielded patches.
        failed: slides and images that were skipped, with the reason.
        dropped: patches left out, by reason.
        overviews: number of overviews.
        overview_counts: overviews by split and class, if they are cut like patches.
        warnings: one sentence per warning, for the report.
        seconds: durations of the parts; `patchset.json` does not record them, so that equal input and settings give an
            equal digest.
        markdown: the splits as a table, warnings and skipped files; no file records it.
    """

    kind: str
    source: str
    source_digest: str
    classes: list[str]
    patch_size: tuple[int, int]
    mpp: float | None
    counts: dict[str, dict[str, int]]
    patients: dict[str, int]
    patients_by_class: dict[str, dict[str, int]]
    patients_known: bool
    split_by: str
    control_by: str = ""
    folds: int = 0
    tested: dict[str, int] = Field(default_factory=dict)
    files: int
    failed: list[Failure]
    dropped: dict[str, int]
    overviews: int = 0
    overview_counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    warnings: list[str]
    seconds: dict[str, float] = Field(default_factory=dict)
    markdown: str = ""
