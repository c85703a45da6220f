"""Parameters and summary of the step `publish_model`."""

from typing import Literal

from pydantic import Field

from histoforge.core.settings import DeviceConfig, Settings


class PublishModelConfig(DeviceConfig):
    """Settings of the model store, and of the gate that a challenger must pass to replace the champion."""

    models: str = Field("", description="location of the published models: a folder, or s3:// or minio:// prefix")
    name: str = Field(
        "classifier",
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$",
        description="name under which the model is published; a challenger replaces the champion of the same name",
    )
    score: Literal["auto", "accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "f1"] = Field(
        "auto",
        description="score by which champion and challenger are compared; 'auto' is accuracy if the classes of the "
        "test split are even (the largest has at most 1.25 times the patches of the smallest), else balanced_accuracy",
    )
    margin: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="how much worse than the champion the challenger may be; with 0 it must be better",
    )
    confidence: float = Field(0.95, ge=0.5, lt=1, description="coverage of the confidence intervals")
    fewest_patients: int = Field(
        5, ge=5, le=100_000, description="minimum number of test patients; with fewer, nothing is published"
    )
    batch_size: int = Field(
        128, ge=1, le=65536, description="patches per forward pass", json_schema_extra={"unit": "patches"}
    )
    trained_with: str = Field("", description="preset that the challenger was trained with, for the model card")
    licence: str = Field("not stated", description="licence of the model, for the model card")
    data_licence: str = Field("not stated", description="licence of the slides, for the model card")
    intended_use: str = Field(
        "Research on patches like those that it was trained on; not for diagnosis.",
        description="intended use, for the model card",
    )
    limits: str = Field("", description="further limits, for the model card")


class PublishModelSummary(Settings):
    """The result of a publication.

    Attributes:
        published: True if the challenger is now the champion.
        said: the result and its reason, in one sentence.
        name: name under which the model is published.
        location: where it is published.
        version: the champion's version; '' if there is none.
        challenger: the challenger's version; '' if it was not stored.
        score: the score that was compared.
        value, low, high: the challenger's score on the test split, with its interval.
        difference, difference_low, difference_high: challenger minus champion; None if nothing was compared.
        margin: the required margin.
        test_patches, test_units: numbers of patches and units in the test.
        unit: kind of the units.
        seconds: duration of the whole step.
    """

    published: bool
    said: str
    name: str
    location: str
    version: str
    challenger: str
    score: str
    value: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    margin: float
    test_patches: int
    test_units: int
    unit: str
    seconds: float
