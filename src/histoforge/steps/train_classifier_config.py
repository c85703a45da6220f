"""Parameters and summary of the step `train_classifier`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histoforge.core.settings import Settings, TrainingConfig


class TrainClassifierConfig(TrainingConfig):
    """Settings of one arm's classifiers, equal in all arms except for `augmentation` and synthetic patches.

    Xue et al. 2021, section 4.3.3, gives the backbone and the number of runs, but no hyper-parameters (A4-14). The
    RL-EO paper gives those of its downstream task: see the preset paper-rleo.
    """

    arm: str = Field(
        "baseline",
        pattern=r"^[a-z0-9_]{1,40}$",
        description="name of the arm: 'baseline', 'traditional', 'selective', …",
    )
    seeds: int = Field(5, ge=1, le=100, description="classifiers to train, with the seeds seed, seed+1, …")
    use: Literal["both", "real", "synthetic"] = Field(
        "both",
        description="training patches: 'both' (the real ones and, where given, the synthetic), 'real' or 'synthetic'; "
        "the validation patches are real",
    )
    backbone: str = Field(
        "resnet34", description="network: resnet10, resnet18, resnet34, resnet50, resnet101 or resnet152"
    )
    judge_backbone: str = Field(
        "",
        description="network of one more classifier, of another architecture and begun from scratch, that judges "
        "synthetic patches; '' is none. Trained in an arm of real patches without augmentation alone",
    )
    stem: Literal["auto", "imagenet", "small"] = Field(
        "auto",
        description="first layers: 'imagenet' (7x7, stride 4 in all), 'small' (3x3, stride 1), or 'auto', which is "
        "'small' below 64 px where no weights are given",
    )
    width: float = Field(1.0, gt=0, le=4, description="factor on the numbers of channels; 1 is the published network")
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="rate of the dropout before the last residual block; with 0 the passes of select_samples are alike",
    )
    weights: str = Field(
        "", description="path or s3:// address of .safetensors or .pth weights to begin with; '' begins from scratch"
    )
    weights_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="SHA-256 that the weights file must have; '' is unchecked"
    )
    trainable_layers: int = Field(
        0,
        ge=0,
        le=1000,
        description="weighted layers (convolutions) of the backbone that train, counted from its end, besides the "
        "head; the others keep the given weights; 0 is all",
    )
    head_width: int = Field(
        0,
        ge=0,
        le=65_536,
        description="units of a hidden layer between features and classes; 0 is none",
        json_schema_extra={"unit": "units"},
    )
    augmentation: Literal["none", "traditional"] = Field(
        "none", description="'none', or 'traditional' (horizontal flips and colour jitter)"
    )
    brightness: float = Field(0.2, ge=0, le=1, description="colour jitter: brightness factor within 1 +- this")
    contrast: float = Field(0.2, ge=0, le=1, description="colour jitter: contrast factor within 1 +- this")
    saturation: float = Field(0.2, ge=0, le=1, description="colour jitter: saturation factor within 1 +- this")
    hue: float = Field(
        0.03, ge=0, le=0.5, description="colour jitter: hue turned by up to this", json_schema_extra={"unit": "turns"}
    )
    epochs: int = Field(
        50, ge=1, le=100_000, description="budget; an epoch is one pass over the real training patches' number of steps"
    )
    max_steps: int = Field(
        0,
        ge=0,
        description="upper bound on the steps of each training, however many patches there are; 0 is none",
        json_schema_extra={"unit": "steps"},
    )
    batch_size: int = Field(64, ge=2, le=8192, description="patches a step", json_schema_extra={"unit": "patches"})
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's at the start; see schedule")
    weight_decay: float = Field(0.01, ge=0, le=10, description="AdamW's weight decay; with 0 it is Adam")
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="of the learning rate: 'cosine' (to 0), or 'step' (times step_factor every step_epochs)"
    )
    step_epochs: int = Field(
        7, ge=1, description="epochs between falls of the schedule 'step'", json_schema_extra={"unit": "epochs"}
    )
    step_factor: float = Field(0.1, gt=0, le=1, description="what each fall of the schedule 'step' multiplies by")
    patience: int = Field(
        15,
        ge=0,
        description="epochs without a lower validation loss after which a training stops; 0 is never",
        json_schema_extra={"unit": "epochs"},
    )
    checkpoints: str = Field("", description="location (folder, s3://) to which checkpoints are copied; '' is none")
    checkpoint_every: int = Field(
        200,
        ge=0,
        description="steps between checkpoints; 0 is only at a seed's end",
        json_schema_extra={"unit": "steps"},
    )

    @model_validator(mode="after")
    def _judge_differs(self) -> Self:
        if self.judge_backbone == self.backbone:
            raise ValueError(
                f"judge_backbone={self.judge_backbone} is the backbone itself, of which a second seed judges anyway: "
                "name another network, or leave it empty"
            )
        return self

    @model_validator(mode="after")
    def _frozen_layers_have_learnt_something(self) -> Self:
        if self.trainable_layers and not self.weights:
            raise ValueError(
                f"trainable_layers={self.trainable_layers} keeps all other layers as they begin, and no weights are "
                "given to begin with: set weights, or trainable_layers=0 to train all"
            )
        return self


class TrainClassifierSummary(Settings):
    """The results of an arm on the validation split.

    Attributes:
        arm: its name.
        seeds: the seeds of the trained classifiers.
        use: the kinds of patches that were used for training.
        train, synthetic, val: numbers of patches.
        val_accuracy, val_balanced_accuracy, val_loss: means over the seeds, at each seed's best epoch.
        best_epochs: the selected epoch, one per seed.
        seconds: training time of all seeds together.
    """

    arm: str
    seeds: list[int]
    use: str
    train: int
    synthetic: int
    val: int
    val_accuracy: float
    val_balanced_accuracy: float
    val_loss: float
    best_epochs: list[int]
    seconds: float
