"""The settings of the unified ViT cGAN and of its baseline; imports nothing heavy."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histoforge.generators.config import GeneratorConfig
from histoforge.generators.dcgan.config import POLICY

STAGES = 4
CHUNKS = STAGES + 1
"""Parts of the noise: one for the first tokens, and one for each stage (A2-8)."""
REDUCTION = 4 ** (STAGES - 1)
"""The channels of the first map divided by those of the last one."""


class VitganConfig(GeneratorConfig):
    """Networks, losses and optimiser of the unified framework (Li et al., sections III and IV.B).

    A2-8: the paper does not give the length of z, the channels and the heads; the defaults are TransGAN's, and those of
    a small GPU have `generator_channels=512`.
    """

    batch_size: int = Field(12, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    z_dim: int = Field(320, ge=1, le=4096, description="length of the noise vector z")
    generator_channels: int = Field(
        1024,
        ge=64,
        le=4096,
        description="generator channels of the first two maps, a quarter after each later doubling",
    )
    encoders: int = Field(4, ge=1, le=12, description="transformer encoders per stage of the generator")
    heads: int = Field(4, ge=1, le=16, description="attention heads of the generator's encoders")
    third_window: int = Field(
        32, ge=2, le=256, description="largest side of the windows in which the generator's third stage attends"
    )
    fourth_window: int = Field(
        16, ge=2, le=256, description="largest side of the windows in which the generator's fourth stage attends"
    )
    discriminator_step: Literal[0, 2, 4] = Field(
        2,
        description="side of the discriminator's smallest tokens (0: 4 if the patch size is a multiple of 32, else 2); "
        "4 needs a sixteenth of the memory for attention",
        json_schema_extra={"unit": "px"},
    )
    discriminator_width: float = Field(
        1.0, ge=0.05, le=4, description="factor on the discriminator's channels, 96, 192 and 384"
    )
    classifier_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout before the discriminator's class encoder, for Monte Carlo passes"
    )
    class_projection: bool = Field(
        True, description="whether class and noise enter each stage of the generator (conditioned class projection)"
    )
    selection: bool = Field(
        True, description="whether only synthetic patches of which the class head is sure enter its loss"
    )
    truncation: float = Field(
        0.7, ge=0, le=10, description="bound on each value of the noise, in training and in drawing (0: no bound)"
    )
    confidence: float = Field(
        0.6, gt=0, lt=1, description="probability above which the class head is sure of a synthetic patch"
    )
    confidence_of: Literal["class", "max"] = Field(
        "class", description="probability that decides: that of the class drawn, or the highest one"
    )
    filter_g: bool = Field(True, description="whether the selection also applies to the generator's class loss")
    balanced_selection: bool = Field(
        False,
        description="whether synthetic patches enter the class loss only when some of each class pass, and each class "
        "then has the same weight, so that no class can take over",
    )
    class_warm_up: int = Field(
        0,
        ge=0,
        description="steps before synthetic patches enter the class losses, in which the class head learns from real "
        "patches alone (0: none, as published)",
        json_schema_extra={"unit": "steps"},
    )
    weighing: Literal["exp", "log"] = Field(
        "exp",
        description="how the class losses L are weighed by learned s: 'exp' (exp(-s) L + s) or 'log' (Kendall et al. "
        "2018: L / (2 sigma^2) + log sigma, with s = log sigma)",
    )
    gp_weight: float = Field(10.0, ge=0, le=1000, description="weight of the gradient penalty (delta in the paper)")
    penalty_every: int = Field(
        1,
        ge=1,
        le=64,
        description="steps from one gradient penalty to the next, which is weighted as many times as much",
        json_schema_extra={"unit": "steps"},
    )
    n_critic: int = Field(1, ge=1, le=20, description="critic updates for each update of the generator")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, constant")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's second beta")
    diff_augment: str = Field(
        "",
        pattern=POLICY,
        description="differentiable augmentation of the discriminator's input (Zhao et al. 2020): 'colour', "
        "'translation', 'cutout', or several separated by commas ('': none)",
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the generator's weights (0: no average)"
    )
    accuracy_tolerance: float = Field(
        0.005,
        ge=0,
        le=1,
        description="epochs whose validation accuracy is lower than the best one by at most this are compared by FID",
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        """Check that the noise and the channels can be divided as the generator needs."""
        if self.class_projection and self.z_dim % CHUNKS:
            lower, upper = max(self.z_dim // CHUNKS, 1) * CHUNKS, -(-self.z_dim // CHUNKS) * CHUNKS
            raise ValueError(
                f"'z_dim' is {self.z_dim}, and the noise is divided into {CHUNKS} equal parts, one for the first map "
                f"and one for each stage: use {lower}{f' or {upper}' if upper != lower else ''}"
            )
        unit = self.heads * REDUCTION
        if self.generator_channels % unit:
            near = max(round(self.generator_channels / unit), 1) * unit
            raise ValueError(
                f"'generator_channels' is {self.generator_channels}, of which the last stage has one in {REDUCTION}, "
                f"divided among {self.heads} heads: use a multiple of {unit}, such as {near}"
            )
        return self


class MedvitganConfig(VitganConfig):
    """MedViTGAN, the baseline of the paper's Table II: no class projection, no selection, no truncated noise."""

    class_projection: bool = Field(
        False, description="whether class and noise enter each stage of the generator (conditioned class projection)"
    )
    selection: bool = Field(
        False, description="whether only synthetic patches of which the class head is sure enter its loss"
    )
    truncation: float = Field(
        0.0, ge=0, le=10, description="bound on each value of the noise, in training and in drawing (0: no bound)"
    )
