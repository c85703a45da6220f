"""The settings of PathUp; imports nothing heavy."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histoforge.generators.config import GeneratorConfig

TIMESTEPS = 1000
"""Steps of the forward process (T), as in Stable Diffusion."""

LEVELS = ("patch", "overview")
"""The spatial levels: 0 and 1 in the index of the latents."""

Alignment = Literal["none", "prompt", "entropy"]
ALIGNMENTS: dict[str, str] = {
    "none": "latent diffusion conditioned on the class alone",
    "prompt": "conditioned on class and spatial level (+PA in Table 2)",
    "entropy": "conditioned on class and spatial level, with the feature entropy loss (+FEL in Table 2)",
}

SpatialLevels = Literal["both", "patch"]
Target = Literal["noise", "image"]


class PathupConfig(GeneratorConfig):
    """The U-Net on latents, its training and its sampling.

    "PathUp: Patch-wise Timestep Tracking for Multi-class Large Pathology Image Synthesising Diffusion Model", sections
    3.1, 3.2 and 4.2. Deviations: a learned embedding of class and level stands for the prompt of a text encoder; the
    network starts from random weights and not from Stable Diffusion's, so the default learning rate is higher than the
    paper's 5e-6 (A3-2).
    """

    batch_size: int = Field(16, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    fid_every: int = Field(
        10, ge=1, description="epochs from one FID to the next", json_schema_extra={"unit": "epochs"}
    )
    alignment: Alignment = Field(
        "entropy",
        description="'none' conditions on the class alone, 'prompt' on class and spatial level, 'entropy' adds the "
        "feature entropy loss",
    )
    spatial_levels: SpatialLevels = Field(
        "both", description="levels to learn: 'both' patches and overviews, or 'patch' alone"
    )
    feature_entropy_weight: float = Field(0.1, ge=0, description="weight of the feature entropy loss (beta, eq. 4)")
    temperature: float = Field(0.07, gt=0, description="temperature of the feature entropy loss (tau, eq. 3)")
    anchor_decay: float = Field(
        0.99, ge=0, lt=1, description="decay of the moving average of the feature entropy loss's anchors (alpha)"
    )
    entropy_by_signal: bool = Field(
        False, description="whether the feature entropy loss weights each image by its share of signal, abar_t"
    )
    condition_dropout: float = Field(
        0.1, ge=0, lt=1, description="share of training images without a condition, which guidance needs"
    )
    unet_channels: int = Field(
        128, ge=4, le=1024, multiple_of=4, description="channels of the U-Net's first level; later ones have more"
    )
    levels: int = Field(3, ge=1, le=7, description="levels of the U-Net, each half the size of the previous one")
    level_blocks: int = Field(2, ge=1, le=8, description="residual blocks of each level")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the residual blocks")
    target: Target = Field(
        "noise", description="output of the U-Net: the noise, or the clean image with min-SNR weights"
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, constant")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's weight decay")
    ema_decay: float = Field(
        0.9999, ge=0, lt=1, description="decay of the moving average of the network's weights (0: no average)"
    )
    guidance: float = Field(
        1.0, ge=1, le=50, description="scale of classifier-free guidance in sampling (1: the conditional model itself)"
    )
    sampling_steps: int = Field(
        50, ge=1, le=TIMESTEPS, description="denoising steps per patch", json_schema_extra={"unit": "steps"}
    )

    @model_validator(mode="after")
    def _guidance_needs_dropped_conditions(self) -> Self:
        if self.guidance != 1 and not self.condition_dropout:
            raise ValueError(
                f"guidance={self.guidance:g} needs a model that was also trained without conditions: set "
                "condition_dropout above 0, or guidance to 1"
            )
        return self
