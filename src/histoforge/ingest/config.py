"""Settings for reading a source, and for cutting and splitting it."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from histoforge.core.settings import Settings, StepConfig

SPLITS = ("train", "val", "test")


class IngestConfig(StepConfig):
    """Settings for turning slides, image folders or PatchCamelyon files into a patch set split by patient."""

    source: str = Field(min_length=1, description="folder, or s3:// or minio:// prefix, of the slides or images")
    kind: Literal["auto", "slides", "images", "pcam"] = Field(
        "auto",
        description="kind of source: 'slides', 'images' (one folder per class), 'pcam' (HDF5), or 'auto' to detect it",
    )
    labels: str = Field("", description="path of a labels.csv or slides.csv; '' for the one in the source, if any")
    annotations: str = Field("", description="location of the annotation files; '' for beside the slides")
    classes: str = Field(
        "",
        description="comma-separated class names in the order of the labels; '' for all classes of the source, sorted",
    )
    ignore_classes: str = Field("", description="comma-separated class names to leave out")
    outside_class: str = Field(
        "", description="class of the tissue outside all regions of an annotated slide; '' to leave it out"
    )
    patch_size: str = Field(
        "96",
        pattern=r"^\d{1,4}(x\d{1,4})?$",
        description="size of a patch: '96', or height and width such as '256x128'",
        json_schema_extra={"unit": "px"},
    )
    mpp: float = Field(
        0.5,
        gt=0.02,
        le=50,
        description="resolution of the patches; images are resized to it only if slide_mpp is given",
        json_schema_extra={"unit": "um/px"},
    )
    level: int = Field(-1, ge=-1, le=30, description="slide level to read, instead of a resolution; -1 to use mpp")
    slide_mpp: float = Field(
        0.0,
        ge=0,
        le=50,
        description="resolution of slides and images whose files do not state it; 0 if unknown",
        json_schema_extra={"unit": "um/px"},
    )
    stride: int = Field(
        0, ge=0, le=8192, description="step between patches; 0 for the patch size", json_schema_extra={"unit": "px"}
    )
    min_tissue: float = Field(0.5, ge=0, le=1, description="minimum fraction of tissue in a patch")
    membership: Literal["centre", "fraction"] = Field(
        "centre",
        description="a patch belongs to the region that contains its centre, or that covers at least min_region of it",
    )
    min_region: float = Field(0.75, gt=0, le=1, description="minimum fraction of a patch inside regions of its class")
    max_patches_per_class: int = Field(
        0, ge=0, description="maximum number of patches per class, sampled by seed; 0 for all"
    )
    stain: Literal["none", "macenko", "reinhard"] = Field("none", description="stain normalisation")
    split_by: Literal["patient", "slide"] = Field(
        "patient",
        description="unit that is never in two splits: 'patient', or the weaker 'slide', which reports point out",
    )
    split_ratios: str = Field(
        "7:1:2",
        pattern=r"^\d+(\.\d+)?(:\d+(\.\d+)?){2}$",
        description="ratios train:val:test; 0 leaves a split out, and '0:0:1' puts everything into the test split",
    )
    folds: int = Field(
        0,
        ge=0,
        le=50,
        description="number of parts for cross-validation: every patient is tested once, by classifiers that were "
        "trained on the patients of the other parts; 0 for a single split",
    )
    patient_pattern: str = Field(
        "",
        description="regular expression to search for in each file's path; its first group is the patient, as in "
        "'(TCGA-..-....)'",
    )
    train_fraction: float = Field(1.0, gt=0, le=1, description="fraction of the training patches of each class to keep")
    control_share: float = Field(
        0.0,
        ge=0,
        le=0.9,
        description="share of the training patients held back as split 'control', whose real patches show what the "
        "same number of synthetic patches could at best achieve (positive control); 0 for none. Where train_fraction "
        "is below 1, the patches that it leaves out are taken instead, and no patient is held back",
    )
    small_images: Literal["error", "skip", "resize", "pad"] = Field(
        "error",
        description="handling of images smaller than a patch: stop, leave them out, enlarge them, or pad them with "
        "their background and keep those with enough tissue",
    )
    drop_conflicts: bool = Field(
        False, description="leave out images whose pixels also occur under another class or in another split"
    )
    max_failed_slides: int = Field(
        5, ge=0, description="maximum number of slides or images that may be skipped because they cannot be read"
    )
    overview_size: int = Field(
        224,
        ge=0,
        le=4096,
        description="height and width of an overview; 0 for the patch size",
        json_schema_extra={"unit": "px"},
    )
    overview_shrink: int = Field(
        0,
        ge=0,
        le=64,
        description="how many times coarser than the patches the overviews are: they are then cut like patches, each "
        "with a class, as a second level of the same tissue (PathUp: 4); 0 for one overview of each slide or image",
    )
    overview_overlap: int = Field(
        0,
        ge=0,
        description="overlap of overviews that are cut like patches",
        json_schema_extra={"unit": "px of the patches"},
    )
    max_overviews_per_class: int = Field(
        0, ge=0, description="maximum number of overviews per class that are cut like patches; 0 for all"
    )
    slide_cache: str = Field(
        "",
        description="folder, or s3:// or minio:// prefix, that keeps what was cut from each slide, so that only new or "
        "changed slides are cut again; '' for none",
    )
    images_location: str = Field(
        "",
        description="folder, or s3:// or minio:// prefix, that keeps the pixels of patches and overviews, for sets "
        "larger than a disk; '' to keep them in the results",
    )
    workers: int = Field(0, ge=0, le=256, description="number of threads that read and decode; 0 for one per core")

    @field_validator("patch_size", mode="before")
    @classmethod
    def _size_as_text(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return "x".join(str(int(side)) for side in value)
        return str(int(value)) if isinstance(value, (int, float)) else value

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if min(self.size) < 8:
            raise ValueError("patch_size must be at least 8 px")
        if not sum(self.ratios):
            raise ValueError("split_ratios must not all be 0")
        if not self.overview_shrink and (self.overview_overlap or self.max_overviews_per_class):
            raise ValueError("overview_overlap and max_overviews_per_class need an overview_shrink above 0")
        if self.overview_shrink and self.overview_overlap >= min(self.overview_footprint):
            side = min(self.overview_footprint)
            raise ValueError(f"overview_overlap must be smaller than an overview, which shows {side} px of the patches")
        if self.folds == 1:
            raise ValueError("folds must be 0 (a single split) or at least 2")
        if self.folds and not self.ratios[0]:
            raise ValueError(f"folds={self.folds} needs training patches: give split_ratios a first number above 0")
        return self

    @property
    def control_fraction(self) -> float:
        """The fraction of the training patches, besides `train_fraction`, that becomes the split 'control'."""
        return min(self.control_share, 1 - self.train_fraction)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a patch, px."""
        height, _, width = self.patch_size.partition("x")
        return int(height), int(width or height)

    @property
    def ratios(self) -> tuple[float, float, float]:
        """The fractions of train, val and test, which sum to 1."""
        train, val, test = (float(ratio) for ratio in self.split_ratios.split(":"))
        total = train + val + test or 1.0
        return train / total, val / total, test / total

    @property
    def overview_px(self) -> tuple[int, int]:
        """Height and width of an overview, px."""
        return (self.overview_size, self.overview_size) if self.overview_size else self.size

    @property
    def overview_footprint(self) -> tuple[int, int]:
        """Height and width of the tissue that an overview cut like a patch shows, px of the patches."""
        height, width = self.overview_px
        return height * self.overview_shrink, width * self.overview_shrink

    @property
    def class_list(self) -> list[str]:
        """The requested classes, in order; empty if none are given."""
        return names(self.classes)

    @property
    def outside(self) -> list[str]:
        """The class outside all regions, if there is one."""
        return [self.outside_class] if self.outside_class else []

    @property
    def ignored(self) -> set[str]:
        """The classes to leave out."""
        return set(names(self.ignore_classes))


class Failure(Settings):
    """A slide or image that was skipped."""

    name: str
    reason: str


def names(text: str) -> list[str]:
    """Split `'a, b'` into `['a', 'b']`."""
    return [name.strip() for name in text.split(",") if name.strip()]
