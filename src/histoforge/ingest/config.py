"""Settings that say what to read from a source and how to cut and split it."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from histoforge.core.settings import Settings, StepConfig

SPLITS = ("train", "val", "test")


class IngestConfig(StepConfig):
    """Settings for turning slides, image folders or PatchCamelyon files into a patch set split by patient."""

    source: str = Field(min_length=1, description="folder, or s3:// or minio:// prefix, of the slides or images")
    kind: Literal["auto", "slides", "images", "pcam"] = Field(
        "auto", description="what the source holds: 'slides', 'images' (folders by class), 'pcam' (HDF5), or 'auto'"
    )
    labels: str = Field(
        "", description="a labels.csv or slides.csv that does not lie in the source; '' is the one there"
    )
    annotations: str = Field("", description="location of the annotation files; '' is beside the slides")
    classes: str = Field("", description="class names in their order, with commas, and no others; '' is those found")
    ignore_classes: str = Field("", description="class names to leave out, with commas")
    outside_class: str = Field("", description="class of tissue outside all regions of an annotated slide; '' is none")
    patch_size: str = Field(
        "96",
        pattern=r"^\d{1,4}(x\d{1,4})?$",
        description="height and width of a patch: '96', or '256x128'",
        json_schema_extra={"unit": "px"},
    )
    mpp: float = Field(
        0.5,
        gt=0.02,
        le=50,
        description="resolution of the patches; for images only where slide_mpp states theirs",
        json_schema_extra={"unit": "um/px"},
    )
    level: int = Field(-1, ge=-1, le=30, description="slide level to read instead of a resolution; -1 is by mpp")
    slide_mpp: float = Field(
        0.0,
        ge=0,
        le=50,
        description="resolution of slides and images whose file does not state it; 0 is not known",
        json_schema_extra={"unit": "um/px"},
    )
    stride: int = Field(
        0, ge=0, le=8192, description="step between patches; 0 is the patch size", json_schema_extra={"unit": "px"}
    )
    min_tissue: float = Field(0.5, ge=0, le=1, description="least fraction of a patch that is tissue")
    membership: Literal["centre", "fraction"] = Field(
        "centre", description="a patch is in a region that holds its centre, or that covers at least min_region of it"
    )
    min_region: float = Field(0.75, gt=0, le=1, description="least fraction of a patch inside regions of its class")
    max_patches_per_class: int = Field(0, ge=0, description="patches kept of a class, drawn by seed; 0 is all")
    stain: Literal["none", "macenko", "reinhard"] = Field("none", description="stain normalisation")
    split_by: Literal["patient", "slide"] = Field(
        "patient", description="what never stands on two sides: 'patient', or the weaker 'slide', which reports say"
    )
    split_ratios: str = Field(
        "7:1:2",
        pattern=r"^\d+(\.\d+)?(:\d+(\.\d+)?){2}$",
        description="train:val:test; 0 leaves a split out, and '0:0:1' makes a test set of everything",
    )
    patient_pattern: str = Field(
        "", description="regular expression on a file's path whose first group is the patient, as '(TCGA-..-....)'"
    )
    train_fraction: float = Field(1.0, gt=0, le=1, description="part of the training patches of each class to keep")
    small_images: Literal["error", "skip", "resize"] = Field(
        "error", description="what to do with an image smaller than a patch"
    )
    drop_conflicts: bool = Field(
        False, description="leave out images whose pixels also stand under another class or in another split"
    )
    max_failed_slides: int = Field(5, ge=0, description="slides or images that may fail and be skipped")
    overview_size: int = Field(
        224,
        ge=0,
        le=4096,
        description="height and width of an overview; 0 is the patch size",
        json_schema_extra={"unit": "px"},
    )
    workers: int = Field(0, ge=0, le=256, description="threads that read and decode; 0 is one for each core")

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
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a patch, px."""
        height, _, width = self.patch_size.partition("x")
        return int(height), int(width or height)

    @property
    def ratios(self) -> tuple[float, float, float]:
        """The shares of train, val and test, which sum to 1."""
        train, val, test = (float(part) for part in self.split_ratios.split(":"))
        whole = train + val + test or 1.0
        return train / whole, val / whole, test / whole

    @property
    def overview_px(self) -> tuple[int, int]:
        """Height and width of an overview, px."""
        return (self.overview_size, self.overview_size) if self.overview_size else self.size

    @property
    def class_list(self) -> list[str]:
        """The classes that the user named, in order; empty if none."""
        return names(self.classes)

    @property
    def outside(self) -> list[str]:
        """The class outside all regions, if there is one."""
        return [self.outside_class] if self.outside_class else []

    @property
    def ignored(self) -> set[str]:
        """The classes that the user wants to leave out."""
        return set(names(self.ignore_classes))


class Failure(Settings):
    """A slide or image that was skipped."""

    name: str
    reason: str


def names(text: str) -> list[str]:
    """Split `'a, b'` into `['a', 'b']`."""
    return [name.strip() for name in text.split(",") if name.strip()]
