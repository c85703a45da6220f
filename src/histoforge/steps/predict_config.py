"""Parameters and summary of the step `predict`."""

from typing import Literal

from pydantic import Field

from histoforge.core.settings import DeviceConfig, Settings
from histoforge.ingest.config import Failure


class PredictConfig(DeviceConfig):
    """Settings of predictions on whole slides; patches are cut as those that the classifier was trained on."""

    source: str = Field("", description="folder, or s3:// or minio:// prefix, of the slides")
    labels: str = Field(
        "",
        description="path of a slides.csv, which names patients and resolutions and leaves out slides that it does not "
        "list; '' for the one in the source, if any",
    )
    patient_pattern: str = Field(
        "",
        description="regular expression to search for in each file's path; its first group is the patient, as in "
        "'(TCGA-..-....)'",
    )
    slide_mpp: float = Field(
        0.0,
        ge=0,
        le=50,
        description="resolution of slides whose files do not state it; 0 if unknown",
        json_schema_extra={"unit": "um/px"},
    )
    mpp: float = Field(
        0.0,
        ge=0,
        le=50,
        description="resolution of the patches, for a classifier that does not record it; 0 for the recorded one",
        json_schema_extra={"unit": "um/px"},
    )
    stain: Literal["model", "none", "macenko", "reinhard"] = Field(
        "model",
        description="stain normalisation, for a classifier that does not record it; 'model' for the recorded one",
    )
    stride: int = Field(
        0, ge=0, le=8192, description="step between patches; 0 for the patch size", json_schema_extra={"unit": "px"}
    )
    min_tissue: float = Field(0.5, ge=0, le=1, description="minimum fraction of tissue in a patch")
    max_failed_slides: int = Field(
        5, ge=0, description="maximum number of slides that may be skipped because they cannot be read"
    )
    batch_size: int = Field(
        256, ge=1, le=65536, description="number of patches computed at once", json_schema_extra={"unit": "patches"}
    )
    workers: int = Field(0, ge=0, le=256, description="number of threads that read and decode; 0 for one per core")
    checkpoints: str = Field(
        "",
        description="location (folder or s3:// prefix) to copy finished slides to, so that a retry on another machine "
        "goes on after them; '' for no copies",
    )


class PredictSummary(Settings):
    """The result of `predict`.

    Attributes:
        model: the classifier.
        slides: number of slides with predictions.
        patients: number of their patients.
        patches: number of predicted patches.
        predicted: number of patches by most probable class.
        slides_predicted: number of slides by the class with the highest mean probability.
        resumed: number of slides that an earlier, interrupted command had finished.
        without_tissue: slides without enough tissue for a patch.
        failed: slides that were skipped, with the reason.
        warnings: one sentence per warning.
        seconds: duration of the step.
    """

    model: str
    slides: int
    patients: int
    patches: int
    predicted: dict[str, int]
    slides_predicted: dict[str, int]
    resumed: int
    without_tissue: list[str]
    failed: list[Failure]
    warnings: list[str]
    seconds: float
