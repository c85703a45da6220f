"""Parameters and summary of the step `train_classifier`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from histoforge.classifiers.backbones.registry import BACKBONES
from histoforge.core.settings import NodesConfig, Settings
from histoforge.core.text import join_words

_NUMBER_FACTORS = "ratio|pool|fraction|dose"
_FACTOR = rf"^(kind=[a-z0-9_]{{1,40}}|backbone=[A-Za-z0-9_.:-]{{1,80}}|({_NUMBER_FACTORS})=\d{{1,6}}(\.\d{{1,12}})?)$"
TEXT_FACTORS = ("kind", "backbone")
Factor = Annotated[str, Field(pattern=_FACTOR)]
_BACKBONES = f"{join_words(list(BACKBONES), 'or')} (a model of timm)"


class TrainClassifierConfig(NodesConfig):
    """Settings of one arm's classifiers, equal in all arms except for `augmentation` and synthetic patches.

    Xue et al. 2021, section 4.3.3, gives the backbone and the number of runs, but no hyper-parameters (A4-14). The
    RL-EO paper gives those of its downstream task: see the preset paper-rleo.
    """

    arm: str = Field(
        "baseline",
        pattern=r"^[a-z0-9_]{1,40}$",
        description="name of the arm: 'baseline', 'traditional', 'selective', …",
    )
    factors: list[Factor] = Field(
        [],
        description="what sets the arm apart in a study of factors: 'kind=selective', 'ratio=0.5' and 'pool=4', or "
        "'kind=baseline' and 'fraction=0.1', or 'backbone=resnet34'; the report groups and names arms by it",
    )
    seeds: int = Field(5, ge=1, le=100, description="number of classifiers, with the seeds seed, seed+1, …")
    use: Literal["both", "real", "synthetic", "control"] = Field(
        "both",
        description="patches to train on: 'both' (real ones and, if given, synthetic ones), 'real', 'synthetic', or "
        "'control' (real ones and, in place of synthetic ones, those that preprocess held back by control_share); "
        "validation patches are always real",
    )
    control_ratio: float = Field(
        0.5,
        gt=0,
        le=10,
        description="use=control: number of held-back patches of each class per real training patch, as 'ratio' of "
        "select_samples; all if there are fewer",
    )
    backbone: str = Field("resnet34", description=f"network: {_BACKBONES}")
    judge_backbone: str = Field(
        "",
        description="network of one additional classifier, another one than 'backbone', that starts from random "
        f"weights and scores synthetic patches: {_BACKBONES}; '' for none. Only an arm of real patches without "
        "augmentation trains it",
    )
    stem: Literal["auto", "imagenet", "small"] = Field(
        "auto",
        description="first layers: 'imagenet' (as published; in a ResNet 7x7, stride 4 in total), 'small' (3x3, stride "
        "1; ResNets only), or 'auto', which is 'small' for a ResNet below 64 px without given weights",
    )
    width: float = Field(1.0, gt=0, le=4, description="factor on the numbers of channels; 1 for the published network")
    dropout: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="rate of the dropout before the last block; with 0, all passes of select_samples are equal",
    )
    weights: str = Field(
        "",
        description="path or s3:// address of initial weights of the backbone (.safetensors or .pth); '' for random "
        "weights",
    )
    weights_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="SHA-256 of the weights file; '' skips the check"
    )
    input_size: int = Field(
        0,
        ge=0,
        le=8192,
        description="height and width to which the network resizes patches on the device; 0 for their own",
        json_schema_extra={"unit": "px"},
    )
    encoder: str = Field(
        "",
        description="backbone encoder: path or s3:// address of an encoder's file (docs/encoders.md), which names its "
        "weights and input size; only the head trains, on embeddings that are computed once",
    )
    tile_size: int = Field(
        64,
        ge=8,
        le=4096,
        description="backbone admil: height and width of the tiles that an image is cut into, the last ones flush with "
        "its border",
        json_schema_extra={"unit": "px"},
    )
    tile_overlap: int = Field(
        0,
        ge=0,
        le=4095,
        description="backbone admil: overlap of neighbouring tiles, less than tile_size",
        json_schema_extra={"unit": "px"},
    )
    tile_backbone: str = Field(
        "conv4", description="backbone admil: network that embeds a tile: any other backbone; width scales it"
    )
    tile_tissue: float = Field(
        0,
        ge=0,
        le=1,
        description="backbone admil: share of tissue in a tile, below which the tile leaves the bag; 0 keeps every "
        "tile, and so does an image without tissue",
    )
    attention_branches: int = Field(
        1,
        ge=1,
        le=100,
        description="backbone admil: number of attention branches, each of which pools the tiles in its own way; 1 as "
        "published",
    )
    trainable_layers: int = Field(
        0,
        ge=0,
        le=1000,
        description="number of weighted layers (such as convolutions) of the backbone to train, counted from the end; "
        "the head always trains, and the other layers keep the given weights; 0 for all",
    )
    head_width: int = Field(
        0,
        ge=0,
        le=65_536,
        description="units of a hidden layer between features and classes; 0 for no hidden layer",
        json_schema_extra={"unit": "units"},
    )
    augmentation: Literal["none", "traditional"] = Field(
        "none", description="'none', or 'traditional' (horizontal flips and colour jitter)"
    )
    brightness: float = Field(0.2, ge=0, le=1, description="colour jitter: brightness factor within 1 +- this")
    contrast: float = Field(0.2, ge=0, le=1, description="colour jitter: contrast factor within 1 +- this")
    saturation: float = Field(0.2, ge=0, le=1, description="colour jitter: saturation factor within 1 +- this")
    hue: float = Field(
        0.03,
        ge=0,
        le=0.5,
        description="colour jitter: largest rotation of the hue",
        json_schema_extra={"unit": "turns"},
    )
    epochs: int = Field(
        50,
        ge=1,
        le=100_000,
        description="maximum number of epochs; an epoch has as many steps as one pass over the real training patches",
    )
    max_steps: int = Field(
        0,
        ge=0,
        description="maximum number of steps of each training, whatever the number of patches; 0 for no maximum",
        json_schema_extra={"unit": "steps"},
    )
    batch_size: int = Field(64, ge=2, le=8192, description="patches per step", json_schema_extra={"unit": "patches"})
    learning_rate: float = Field(1e-3, gt=0, le=1, description="initial learning rate of AdamW; see schedule")
    weight_decay: float = Field(0.01, ge=0, le=10, description="weight decay of AdamW; with 0 it is Adam")
    schedule: Literal["cosine", "step"] = Field(
        "cosine",
        description="schedule of the learning rate: 'cosine' (to 0), or 'step' (times step_factor every step_epochs)",
    )
    step_epochs: int = Field(
        7, ge=1, description="schedule 'step': epochs between two reductions", json_schema_extra={"unit": "epochs"}
    )
    step_factor: float = Field(0.1, gt=0, le=1, description="schedule 'step': factor of each reduction")
    patience: int = Field(
        15,
        ge=0,
        description="epochs without a lower validation loss after which a training stops; 0 for never",
        json_schema_extra={"unit": "epochs"},
    )

    @property
    def factor_values(self) -> dict[str, float | str]:
        """The factors by name: 'kind' and 'backbone' as text, the others as numbers."""
        pairs = (factor.split("=") for factor in self.factors)
        return {name: value if name in TEXT_FACTORS else float(value) for name, value in pairs}

    @model_validator(mode="after")
    def _check_judge(self) -> Self:
        if self.judge_backbone == self.backbone:
            raise ValueError(
                f"judge_backbone={self.judge_backbone} is the same network as backbone: name another network, or leave "
                "it empty"
            )
        return self

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        if (self.backbone == "encoder") != bool(self.encoder):
            raise ValueError(
                f"backbone={self.backbone} and encoder={self.encoder or repr('')} do not belong together: set "
                "backbone=encoder and give the encoder's file, or leave both out"
            )
        if self.encoder and (self.weights or self.input_size or self.trainable_layers):
            raise ValueError(
                "an encoder's file names its weights and its input size, and no layer of it trains: leave out weights, "
                "input_size and trainable_layers"
            )
        return self

    @model_validator(mode="after")
    def _check_tiles(self) -> Self:
        if self.tile_overlap >= self.tile_size:
            raise ValueError(
                f"tile_overlap={self.tile_overlap} leaves no step between tiles of tile_size={self.tile_size}: set a "
                "smaller overlap"
            )
        return self

    @model_validator(mode="after")
    def _check_frozen_layers(self) -> Self:
        if self.trainable_layers and not self.weights:
            raise ValueError(
                f"trainable_layers={self.trainable_layers} freezes all other layers at their initial weights, which "
                "would be random: set weights, or set trainable_layers=0 to train all layers"
            )
        return self


class TrainClassifierSummary(Settings):
    """The results of an arm on the validation split.

    Attributes:
        arm: its name.
        seeds: the seeds of the trained classifiers.
        use: the kinds of patches that were used for training.
        train, synthetic, control, val: numbers of patches.
        val_accuracy, val_balanced_accuracy, val_loss: means over the seeds, at each seed's best epoch.
        best_epochs: the selected epoch, one per seed.
        seconds: training time of all seeds together.
    """

    arm: str
    seeds: list[int]
    use: str
    train: int
    synthetic: int
    control: int = 0
    val: int
    val_accuracy: float
    val_balanced_accuracy: float
    val_loss: float
    best_epochs: list[int]
    seconds: float
