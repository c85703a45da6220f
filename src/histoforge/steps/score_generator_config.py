"""Parameters and summary of the step `score_generator`."""

from typing import Literal

from pydantic import Field

from histoforge.core.settings import DeviceConfig, Settings


class ScoreGeneratorConfig(DeviceConfig):
    """Settings of the patches to draw from a generator and of their scores (the RL-EO paper, section V.A)."""

    name: str = Field(
        "",
        max_length=60,
        description="name by which the leaderboard groups seeds; '' uses method and reward, such as 'rleo:policy'",
    )
    count: int = Field(
        5000,
        ge=10,
        le=1_000_000,
        description="number of synthetic patches to draw, and maximum number compared with as many real ones",
        json_schema_extra={"unit": "patches"},
    )
    generations: int = Field(
        1,
        ge=1,
        le=100,
        description="number of independent draws of 'count' patches, over which precision, recall, FID and KID have a "
        "mean and a deviation; everything else is computed on the first",
    )
    labels: Literal["shares", "balanced"] = Field(
        "shares", description="classes of the patches to draw: 'shares' as in the training split, or 'balanced'"
    )
    batch_size: int = Field(
        128,
        ge=1,
        le=65536,
        description="number of patches drawn or computed at once",
        json_schema_extra={"unit": "patches"},
    )
    neighbours: int = Field(
        5, ge=1, le=100, description="number of nearest neighbours (k) in precision, recall, density and coverage"
    )
    audit_patches: int = Field(
        10_000,
        ge=10,
        le=1_000_000,
        description="maximum number of training patches that the memorisation audit searches",
        json_schema_extra={"unit": "patches"},
    )
    copy_patches: int = Field(
        2000,
        ge=10,
        le=1_000_000,
        description="maximum number of synthetic patches that are searched for copies of "
        "training patches that were turned, shifted, recompressed or recoloured, drawn at random; exact copies are "
        "searched for among all",
        json_schema_extra={"unit": "patches"},
    )
    path_pairs: int = Field(
        500,
        ge=0,
        le=1_000_000,
        description="number of pairs of latent points for path lengths; 0 leaves path lengths out",
    )
    path_steps: int = Field(
        10, ge=1, le=1000, description="number of steps of the paper's path length; the paper gives none"
    )
    path_epsilon: float = Field(1e-4, gt=0, le=0.1, description="step of the standard PPL, as a fraction of the path")
    path_interpolation: Literal["slerp", "lerp"] = Field(
        "slerp", description="interpolation of the standard PPL; the paper's path length is always linear"
    )
    lpips_weights: str = Field(
        "",
        description="path or s3:// address of torchvision's VGG-16 weights for LPIPS; '' uses the extractor's features",
    )
    lpips_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="expected SHA-256 of this file; '' skips the check"
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
        description="number of real and of synthetic patches whose features are saved for the leaderboard's map",
        json_schema_extra={"unit": "patches"},
    )
    shown_patches: int = Field(8, ge=1, le=40, description="number of patches per class in the picture")


class MeanStd(Settings):
    """A mean and the standard deviation, None for a single value."""

    mean: float | None
    std: float | None


class ScoreGeneratorSummary(Settings):
    """The scores of a generator; metrics use the extractor `judge`, and are None if they cannot be computed.

    Attributes:
        name, method, seed: name, method and seed of the generator.
        count, compared: numbers of synthetic patches drawn, and of patches compared per kind.
        judge: the extractor.
        fid, kid, precision, recall, density, coverage: metrics against training patches.
        path_length, ppl, distance: the paper's and the standard path length, and the perceptual distance that both use.
        spread, distinct: signs of mode collapse; real patches have a spread of 1.
        collapsed: classes with such signs.
        label_accuracy, label_macro_f1: scores of the real-trained classifier on the synthetic patches (Table IV).
        seconds_per_thousand, peak_memory_mb: time and memory of drawing; None for a fixed set of patches.
        training_seconds: training time of the generator.
        levels: mean and deviation of precision, recall, FID and KID over all draws, by level, 'patch' or 'overview'.
        metrics: values of further registered metrics of features, by name.
        warnings: one sentence per warning.
        seconds: duration of the whole step.
    """

    name: str
    method: str
    seed: int
    count: int
    compared: int
    judge: str
    fid: float | None
    kid: float | None
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    path_length: float | None
    ppl: float | None
    distance: str
    spread: float | None
    distinct: float | None
    collapsed: list[str]
    label_accuracy: float
    label_macro_f1: float | None
    seconds_per_thousand: float | None
    peak_memory_mb: float | None
    training_seconds: float | None
    levels: dict[str, dict[str, MeanStd]]
    metrics: dict[str, float]
    warnings: list[str]
    seconds: float
