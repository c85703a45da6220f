"""Parameters and summary of the step `import_patches`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histoforge.core.settings import Settings, StepConfig
from histoforge.ingest.config import names


class ImportPatchesConfig(StepConfig):
    """Settings for turning synthetic images of any origin into a patch set."""

    source: str = Field(
        "",
        description="folder, or s3:// or minio:// prefix, of synthetic images by class, of images with a labels.csv, "
        "or of a patch set",
    )
    labels: str = Field("", description="path of a table with the columns path and label; '' for labels.csv there")
    name: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9_]{0,19})?$",
        description="short name of the set, for arms and tables; '' for that of origin.yaml, or the folder's",
    )
    class_map: str = Field(
        "",
        pattern=r"^([^,=]+=[^,=]+(,[^,=]+=[^,=]+)*)?$",
        description="real classes of the source's classes whose names differ: 'tumor=tumour, norm=normal'; upper and "
        "lower case are the same",
    )
    ignore_classes: str = Field("", description="comma-separated classes of the source to leave out")
    source_mpp: float = Field(
        0.0,
        ge=0,
        le=50,
        description="resolution of the images; 0 for that of origin.yaml or of the patch set",
        json_schema_extra={"unit": "um/px"},
    )
    fit: Literal["crop", "shrink"] = Field(
        "crop",
        description="'crop' resizes an image to the resolution of the real patches and takes its centre; 'shrink' "
        "resizes its largest centred part to a patch, whatever its resolution",
    )
    max_patches_per_class: int = Field(
        0, ge=0, description="maximum number of patches per class, sampled by seed; 0 for all"
    )
    origin: str = Field(
        "", max_length=500, description="who made the images, and with what; '' for that of origin.yaml"
    )
    licence: str = Field("", max_length=200, description="licence of the images; '' for that of origin.yaml")
    workers: int = Field(0, ge=0, le=256, description="number of threads that read and decode; 0 for one per core")

    @model_validator(mode="after")
    def _one_class_each(self) -> Self:
        theirs = [pair.split("=")[0].strip().casefold() for pair in names(self.class_map)]
        for name in theirs:
            if theirs.count(name) > 1:
                raise ValueError(f"class_map maps '{name}' twice: leave one of the two out")
        return self

    @property
    def mapping(self) -> dict[str, str]:
        """The real class of each of the source's classes that `class_map` names."""
        pairs = (pair.split("=") for pair in names(self.class_map))
        return {theirs.strip(): ours.strip() for theirs, ours in pairs}

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
