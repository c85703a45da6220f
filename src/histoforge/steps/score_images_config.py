"""Parameters and summary of the step `score_images`."""

from pydantic import Field

from histoforge.core.settings import DeviceConfig, Settings
from histoforge.steps.score_generator_config import MeanStd


class ScoreImagesConfig(DeviceConfig):
    """Settings of the scores of synthetic large images (PathUp, section 4.3 and Tables 3 and 4)."""

    name: str = Field(
        "",
        max_length=60,
        description="name of the images in tables; '' names how they were drawn, such as 'tracking' or 'bicubic'",
    )
    generations: int = Field(
        1,
        ge=1,
        le=100,
        description="number of groups that the images of each class are divided into, at most one per image; each is "
        "scored by itself, and the metrics have a mean and a deviation over the groups",
    )
    tiles: int = Field(
        5000,
        ge=10,
        le=1_000_000,
        description="maximum number of tiles at full resolution per group, compared with as many real ones",
        json_schema_extra={"unit": "tiles"},
    )
    batch_size: int = Field(
        128, ge=1, le=65536, description="number of tiles computed at once", json_schema_extra={"unit": "tiles"}
    )
    neighbours: int = Field(5, ge=1, le=100, description="number of nearest neighbours (k) in precision and recall")
    inception_weights: str = Field(
        "",
        description="path of clean-fid's inception-2015-12-05.pt, to add Inception features; '' uses the extractor",
    )
    inception_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="expected SHA-256 of this file; '' skips the check"
    )
    shown_images: int = Field(
        2,
        ge=0,
        le=20,
        description="number of images per class to show",
        json_schema_extra={"unit": "images"},
    )


class ScoreImagesSummary(Settings):
    """The scores of synthetic large images.

    Attributes:
        name: the name of the images in tables.
        images: number of images by class.
        judge: the extractor.
        levels: mean and deviation over groups of precision, recall, FID and KID, of whole images ('image') and of tiles
            at full resolution ('tile').
        seams: gradient energy across the borders of windows relative to that elsewhere; None without borders.
        real_seams: the same of real images.
        repeated, real_repeated: share of an image's patches that its own patches resemble most, for synthetic and for
            real images; None without a guide.
        warnings: one sentence per warning.
        seconds: duration of the step.
    """

    name: str
    images: dict[str, int]
    judge: str
    levels: dict[str, dict[str, MeanStd]]
    seams: float | None
    real_seams: float | None
    repeated: float | None
    real_repeated: float | None
    warnings: list[str]
    seconds: float
