"""Parameters and summary of the step `import_patches`."""

from pydantic import Field

from histoforge.core.settings import Settings
from histoforge.ingest.config import names
from histoforge.ingest.import_config import ImportConfig


class ImportPatchesConfig(ImportConfig):
    """Settings for turning synthetic images of any origin into a patch set."""

    source: str = Field(
        "",
        description="folder, or s3:// or minio:// prefix, of synthetic images by class, of images with a labels.csv, "
        "or of a patch set",
    )
    labels: str = Field("", description="path of a table with the columns path and label; '' for labels.csv there")
    ignore_classes: str = Field("", description="comma-separated classes of the source to leave out")
    max_patches_per_class: int = Field(
        0, ge=0, description="maximum number of patches per class, sampled by seed; 0 for all"
    )
    workers: int = Field(0, ge=0, le=256, description="number of threads that read and decode; 0 for one per core")

    @property
    def ignored(self) -> set[str]:
        """The source's classes to leave out."""
        return set(names(self.ignore_classes))


class ImportPatchesSummary(Settings):
    """The imported patches.

    Attributes:
        name: the set's name.
        kind: 'folders', 'table' or 'patch set'.
        source: the location.
        origin, licence: as stated; '' if they are not.
        counts: patches by class.
        left_out: images that were left out, by reason.
        scale: pixels of a patch per pixel of an image.
        codecs: patches by codec of their image.
        jpeg_quality: median of the estimated JPEG qualities; None without JPEG images.
        warnings: one sentence per warning.
        digest: the patch set's identity.
        seconds: duration of the whole step.
    """

    name: str
    kind: str
    source: str
    origin: str
    licence: str
    counts: dict[str, int]
    left_out: dict[str, int]
    scale: float
    codecs: dict[str, int]
    jpeg_quality: float | None
    warnings: list[str]
    digest: str
    seconds: float
