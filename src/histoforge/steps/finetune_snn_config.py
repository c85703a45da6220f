"""Parameters and summary of the step `finetune_snn`."""

from pydantic import Field, model_validator

from histoforge.core.settings import Settings, TrainingConfig


class FinetuneSnnConfig(TrainingConfig):
    """Settings of the two-stage fine-tuning of the MFT-SNN, the siamese guide.

    "Enhancing GANs with Contrastive Learning-Based Multistage Progressive Finetuning SNN and RL-Based External
    Optimization", sections III.A, IV.B.1 and IV.C.1. A0-2: the paper states eight layers in
    stage 1 twice, and twelve once.
    """

    weights: str = Field(
        "",
        description="path or s3:// address of initial weights for the encoder, a .safetensors or .pth file with the "
        "names of torchvision's vgg16; '' for random weights",
    )
    weights_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="required SHA-256 of the weights file; '' for no check"
    )
    width: float = Field(1.0, gt=0, le=4, description="factor on the number of channels; 1 is VGG-16")
    stage1: bool = Field(True, description="train on overviews first; otherwise the guide is trained on patches only")
    stage1_layers: int = Field(
        8, ge=1, le=13, description="number of the last encoder convolutions, of 13, that stage 1 trains"
    )
    stage2_layers: int = Field(
        3, ge=1, le=13, description="number of the last encoder convolutions that stage 2 trains; at most stage1_layers"
    )
    stage1_epochs: int = Field(
        10, ge=1, le=100_000, description="epochs of stage 1", json_schema_extra={"unit": "epochs"}
    )
    stage2_epochs: int = Field(
        8, ge=1, le=100_000, description="epochs of stage 2", json_schema_extra={"unit": "epochs"}
    )
    stage1_epoch_steps: int = Field(
        0,
        ge=0,
        description="steps per epoch of stage 1; 0 for one pass over the overviews",
        json_schema_extra={"unit": "steps"},
    )
    stage2_epoch_steps: int = Field(
        0,
        ge=0,
        description="steps per epoch of stage 2; 0 for one pass over the patches",
        json_schema_extra={"unit": "steps"},
    )
    max_patches: int = Field(
        0,
        ge=0,
        description="maximum number of training patches, sampled by seed; 0 for all",
        json_schema_extra={"unit": "patches"},
    )
    batch_size: int = Field(32, ge=4, le=8192, description="pairs per step", json_schema_extra={"unit": "pairs"})
    reconstruction_rate: float = Field(1e-3, gt=0, le=1, description="Adagrad's learning rate, for the reconstruction")
    similarity_rate: float = Field(5e-4, gt=0, le=1, description="Adam's learning rate, for the contrastive loss")
    margin: float = Field(
        1.0, gt=0, le=1.4142, description="distance (0 to 1.414) to which dissimilar pairs are pushed apart"
    )
    brightness: float = Field(0.2, ge=0, le=1, description="augmentation: the brightness factor lies within 1 +- this")
    contrast: float = Field(0.2, ge=0, le=1, description="augmentation: the contrast factor lies within 1 +- this")
    noise: float = Field(
        0.03,
        ge=0,
        le=1,
        description="augmentation: standard deviation of the noise, as a fraction of the range of values",
    )
    checked_pairs: int = Field(
        2000,
        ge=8,
        description="pairs of held-out patients on which the guide is evaluated",
        json_schema_extra={"unit": "pairs"},
    )
    ablations: bool = Field(
        False, description="also train on patches only and on both data sets in one stage, and report the results"
    )
    cost_batch: int = Field(
        128,
        ge=1,
        le=8192,
        description="images in the batch whose embedding is timed",
        json_schema_extra={"unit": "images"},
    )
    shown: int = Field(8, ge=1, le=64, description="validation patches shown with their Grad-CAM")

    @model_validator(mode="after")
    def _progressive(self) -> "FinetuneSnnConfig":
        if self.stage2_layers > self.stage1_layers:
            raise ValueError("stage2_layers must be at most stage1_layers: stage 2 trains the last of stage 1's layers")
        return self


class FinetuneSnnSummary(Settings):
    """The result of fine-tuning the siamese guide.

    Attributes:
        stages: names of the trained stages: 'stage-1' and 'stage-2'; without overviews, 'patches-alone'.
        weights: initial weights of the encoder.
        overviews, patches: training images of each stage.
        pair_accuracy, pair_auc: accuracy and AUC on pairs of held-out patients.
        similarity: mean similarity (cosine, 0 to 1) of those pairs by level: 'similar', 'same_slide', 'other_patient'.
        finding: one sentence that states whether similarity falls from level to level.
        ablations: pair accuracy of alternative trainings by name; empty if none was requested.
        images_per_second: inference speed on the device of the training.
        macs_per_image: multiply-accumulate operations per embedding.
        steps: training steps of all stages.
        precision, device: numerical precision and device of the training.
        seconds: training time.
        digest: the guide's identity.
        warnings: one sentence per warning.
    """

    stages: list[str]
    weights: str
    overviews: int
    patches: int
    pair_accuracy: float
    pair_auc: float
    similarity: dict[str, float]
    finding: str
    ablations: dict[str, float]
    images_per_second: float
    macs_per_image: int
    steps: int
    precision: str
    device: str
    seconds: float
    digest: str
    warnings: list[str]
