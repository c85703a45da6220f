"""The settings of upscalers; imports nothing heavy."""

import math
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from histoforge.core.settings import FoldConfig, TrainingConfig
from histoforge.generators.pathup.config import Target

Method = Literal["latent_sr", "bsrgan"]


class UpscalerConfig(TrainingConfig, FoldConfig):
    """The network of an upscaler, the pairs that it learns from, and its training.

    'latent_sr' is super-resolution by latent diffusion ("High-Resolution Image Synthesis with Latent Diffusion Models",
    Rombach et al. 2022, section 4.4), 'bsrgan' a network with a discriminator ("Designing a Practical Degradation Model
    for Deep Blind Image Super-Resolution", Zhang et al. 2021). PathUp compares itself with both (Table 3).
    """

    variant_by: ClassVar[str] = "method"

    method: Method = Field(
        "latent_sr",
        description="'latent_sr' draws the details by latent diffusion, and needs an autoencoder; 'bsrgan' predicts "
        "them, then learns to make them look real",
    )
    scale: int = Field(4, ge=2, le=8, description="factor by which images are enlarged: 2, 4 or 8")
    degradation: Literal["auto", "bicubic", "bsrgan"] = Field(
        "auto",
        description="how training images are shrunk: by 'bicubic' interpolation, or as in 'bsrgan', with blur, noise "
        "and JPEG in random order; 'auto' is that of the method's paper, 'bicubic' for latent_sr",
    )
    crop: int = Field(
        256,
        ge=16,
        le=2048,
        description="largest side of the squares that training images are cropped to; smaller images are cropped to "
        "the largest that fits",
        json_schema_extra={"unit": "px"},
    )
    channels: int = Field(
        64, ge=4, le=512, multiple_of=4, description="feature maps of the network, of latent_sr's at its first level"
    )
    levels: int = Field(
        3, ge=1, le=6, description="latent_sr: levels of the U-Net, each half the size of the previous one"
    )
    level_blocks: int = Field(2, ge=1, le=8, description="latent_sr: residual blocks of each level")
    target: Target = Field(
        "noise",
        description="latent_sr: output of the U-Net: the noise, or the clean image with min-SNR weights, which needs "
        "far fewer steps",
    )
    sampling_steps: int = Field(
        50, ge=1, le=1000, description="latent_sr: denoising steps", json_schema_extra={"unit": "steps"}
    )
    blocks: int = Field(8, ge=1, le=64, description="bsrgan: residual blocks of three dense blocks each")
    growth: int = Field(32, ge=4, le=128, description="bsrgan: feature maps that each convolution of a block adds")
    critic_channels: int = Field(
        64, ge=4, le=256, description="bsrgan: feature maps of the first layer of the discriminator"
    )
    l1_epochs: int = Field(
        40,
        ge=0,
        description="bsrgan: first epochs, in which the absolute error is the only loss",
        json_schema_extra={"unit": "epochs"},
    )
    adversarial_weight: float = Field(0.1, ge=0, description="bsrgan: weight of the adversarial loss")
    lpips_weights: str = Field(
        "",
        description="bsrgan: path or s3:// address of torchvision's vgg16 weights for LPIPS, the perceptual loss; '' "
        "leaves it out",
    )
    lpips_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="required SHA-256 of that file; '' for no check"
    )
    perceptual_weight: float = Field(1.0, gt=0, description="bsrgan: weight of the perceptual loss, where there is one")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, constant")
    batch_size: int = Field(16, ge=1, le=8192, description="crops per step", json_schema_extra={"unit": "crops"})
    epochs: int = Field(50, ge=1, description="passes over all training images", json_schema_extra={"unit": "epochs"})
    epoch_steps: int = Field(
        0, ge=0, description="steps per epoch; 0 for one pass", json_schema_extra={"unit": "steps"}
    )
    ema_decay: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the network's weights")
    flips: bool = Field(True, description="whether crops are flipped at random, horizontally and vertically")
    checked: int = Field(
        100,
        ge=1,
        description="validation images on which the upscaler is compared with bicubic interpolation",
        json_schema_extra={"unit": "images"},
    )

    @field_validator("scale")
    @classmethod
    def _scale_is_a_power_of_two(cls, scale: int) -> int:
        if scale & (scale - 1):
            raise ValueError("it must be 2, 4 or 8")
        return scale

    @property
    def shrunk_by(self) -> str:
        """The degradation, without 'auto'."""
        if self.degradation != "auto":
            return self.degradation
        return "bsrgan" if self.method == "bsrgan" else "bicubic"

    @property
    def is_adversarial(self) -> bool:
        """True if a discriminator takes part in the training."""
        return self.method == "bsrgan" and self.epochs > self.l1_epochs

    def unit(self, factor: int) -> int:
        """Return the number of px of which the side of a crop must be a multiple.

        Args:
            factor: pixels per side of one latent; latents must be divisible by all levels of the U-Net.
        """
        return self.scale if self.method == "bsrgan" else math.lcm(self.scale, factor * 2 ** (self.levels - 1))
