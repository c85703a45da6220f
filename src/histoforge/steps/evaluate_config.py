"""Parameters and summary of the step `evaluate`."""

from typing import Literal

from pydantic import Field

from histoforge.core.settings import DeviceConfig, Settings


class EvaluateConfig(DeviceConfig):
    """Settings of the comparison of arms on the test split, and of the report (Xue et al. 2021, section 4.3)."""

    heading: str = Field("", description="title of the report; '' asks about the classes")
    reference: str = Field(
        "baseline",
        min_length=1,
        description="arm that the others are compared with; the first arm if none has this name",
    )
    score: Literal["auto", "accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "f1"] = Field(
        "auto",
        description="score that decides the answer; 'auto' is accuracy if the classes of the test split are even (the "
        "largest has at most 1.25 times the patches of the smallest), else balanced_accuracy; the report has all",
    )
    test_source: str = Field(
        "",
        description="folder, or s3:// or minio:// prefix, of slides or images of other patients, such as those of "
        "another hospital, on which all arms are tested as well (external test); nothing is chosen on them. They are "
        "cut like the patch set; '' for no external test",
    )
    test_patient_pattern: str = Field(
        "",
        description="patient_pattern of test_source, whose files may name patients in another way; '' for that of the "
        "patch set",
    )
    confidence: float = Field(0.95, ge=0.5, lt=1, description="coverage of the confidence intervals")
    resamples: int = Field(
        2000,
        ge=100,
        le=100_000,
        description="number of bootstrap resamples of test patients; at least 200 per arm are used",
    )
    batch_size: int = Field(
        128, ge=1, le=65536, description="number of patches computed at once", json_schema_extra={"unit": "patches"}
    )
    neighbours: int = Field(
        5, ge=1, le=100, description="number of nearest neighbours (k) in precision, recall, density and coverage"
    )
    metric_patches: int = Field(
        10_000,
        ge=10,
        le=1_000_000,
        description="maximum number of patches of each kind for generative metrics and audit, drawn at random",
        json_schema_extra={"unit": "patches"},
    )
    copy_patches: int = Field(
        2000,
        ge=10,
        le=1_000_000,
        description="maximum number of synthetic patches, among metric_patches, that are searched for copies of "
        "training patches that were turned, shifted, recompressed or recoloured, drawn at random; exact copies are "
        "searched for among all",
        json_schema_extra={"unit": "patches"},
    )
    inception_weights: str = Field(
        "",
        description="path of clean-fid's inception-2015-12-05.pt, to add Inception features; '' uses classifiers only",
    )
    inception_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="expected SHA-256 of this file; '' skips the check"
    )
    encoders: list[str] = Field(
        [],
        description="paths or s3:// addresses of the files of encoders (docs/encoders.md), in whose spaces all metrics "
        "of features are computed as well; none by default",
    )
    map_patches: int = Field(
        400,
        ge=10,
        le=20_000,
        description="maximum number of real patches, and of candidates, on the t-SNE maps",
        json_schema_extra={"unit": "patches"},
    )
    shown_patches: int = Field(8, ge=0, le=40, description="number of patches shown per class and kind")
    shown_pairs: int = Field(6, ge=0, le=40, description="number of closest pairs shown with the memorisation audit")
    shown_attention: int = Field(
        2,
        ge=0,
        le=20,
        description="number of test images shown per class with the attention of backbones that weigh tiles",
    )
    shown_slides: int = Field(12, ge=0, le=200, description="maximum number of slides shown with their grids")


class Confusion(Settings):
    """A confusion matrix for Kubeflow's ClassificationMetrics.

    Attributes:
        categories: class names.
        matrix: patches, with true classes in rows and predicted ones in columns, summed over the arm's seeds.
    """

    categories: list[str]
    matrix: list[list[int]]


class Roc(Settings):
    """A ROC curve for Kubeflow's ClassificationMetrics. All three lists are finite and have the same length.

    The seeds of the arm are pooled. For more than two classes each patch counts once per class (micro-average).
    """

    fpr: list[float]
    tpr: list[float]
    threshold: list[float]


class EvaluateSummary(Settings):
    """The result of the evaluation.

    Attributes:
        verdict: 'better', 'better_than_reference' (but not shown to beat every arm without synthetic patches), 'worse',
            'no_difference', 'not_learned', 'too_few' (patients or seeds) or 'no_comparison'.
        answer: the first lines of the report.
        caveats: what lessens the answer's worth, one sentence each.
        score: the score that decides the answer.
        best: the best arm other than the reference.
        reference: the arm that `best` is compared with.
        difference: `best` minus `reference` in `score`; None without a comparison.
        low, high: its bootstrap interval over test patients.
        external: the first lines on the external test; empty if there was none.
        test_patches, test_units: numbers of patches and units in the test; units are patients, or slides or images if
            no patients are known.
        metrics: all numbers under flat names, such as 'selective_accuracy' or 'fid_selected_held_out'; finite.
        confusion, roc: confusion matrix and ROC curve of `best`.
        markdown: a short version of the report.
        warnings: one sentence per warning.
        seconds: duration of the whole step.
    """

    verdict: str
    answer: list[str]
    caveats: list[str]
    score: str
    best: str
    reference: str
    difference: float | None
    low: float | None
    high: float | None
    external: list[str] = Field(default_factory=list)
    test_patches: int
    test_units: int
    metrics: dict[str, float]
    confusion: Confusion
    roc: Roc | None
    markdown: str
    warnings: list[str]
    seconds: float
