"""The parameters of `phantom`."""

from pydantic import Field, field_validator

from histoforge.core.settings import StepConfig


class PhantomConfig(StepConfig):
    """Draw H&E-like slides with annotated regions, patients, a pen mark and a corrupt slide."""

    patients: int = Field(8, ge=1, le=999, description="number of patients, each with an individual stain")
    slides_per_patient: int = Field(1, ge=1, le=99, description="number of slides per patient")
    size_px: int = Field(
        2048, ge=512, le=200_000, description="width and height of a slide", json_schema_extra={"unit": "px"}
    )
    mpp: float = Field(0.5, ge=0.1, le=4.0, description="resolution of level 0", json_schema_extra={"unit": "um/px"})
    classes: list[str] = Field(
        ["benign", "tumour"], min_length=1, description="class names, from the most benign nuclei to the most malignant"
    )
    corrupt: bool = Field(True, description="add a truncated slide, which preprocess must skip")

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value) or not all(value):
            raise ValueError("class names must be distinct and not empty")
        return value
