"""The settings of the denoising diffusion model; imports nothing heavy."""

from typing import Literal, Self

from pydantic import Field, model_validator

from histoforge.generators.config import ClassWiseConfig

TIMESTEPS = 1000
"""Steps of the forward process (T in Ho et al. 2020, section 4)."""


Prediction = Literal["velocity", "image", "noise"]


class DdpmConfig(ClassWiseConfig):
    """The U-Net, its training and its sampling.

    Mustafa 2024 compares with "a Denoising Diffusion Probabilistic Model (DDPM) [13]" and gives no details. Epochs and
    batch size are those of its GANs, and the rest is Ho et al.'s for CIFAR-10 (their section 4 and appendix B), whose
    four levels reach down to 8x8 for patches of 64 px. Deviation: the network predicts the velocity (Salimans and Ho
    2022) under a schedule with zero terminal SNR (Lin et al. 2024, "Common diffusion noise schedules and sample steps
    are flawed"); `prediction` 'noise' is Ho et al.'s. The fifty deterministic sampling steps are a choice made here;
    Ho et al.'s own ancestral sampling is `sampling_steps` 1000 with `eta` 1.
    """

    batch_size: int = Field(128, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    fid_every: int = Field(
        10, ge=1, description="epochs from one FID to the next", json_schema_extra={"unit": "epochs"}
    )
    by_label: bool = Field(
        False, description="whether one model learns all classes from their labels, instead of one model per class"
    )
    unet_channels: int = Field(
        128, ge=4, le=1024, multiple_of=4, description="channels of the U-Net's first level; later ones have more"
    )
    levels: int = Field(4, ge=1, le=7, description="levels of the U-Net, each half the size of the previous one")
    level_blocks: int = Field(2, ge=1, le=8, description="residual blocks of each level")
    attention_size: int = Field(
        16,
        ge=1,
        le=256,
        description="the first level whose map has at most this many px per side has self-attention",
        json_schema_extra={"unit": "px"},
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout in the residual blocks")
    prediction: Prediction = Field(
        "velocity",
        description="output of the network: the velocity, with a noise schedule that ends in pure noise (colours as in "
        "the real patches after few steps), the image, with the same schedule, or the noise (Ho et al.)",
    )
    offset_noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="standard deviation of noise of one value per patch and channel that training adds to that of the "
        "pixels, so that the network learns to change mean colours",
    )
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Adam's learning rate, constant")
    ema_decay: float = Field(
        0.9999, ge=0, lt=1, description="decay of the moving average of the network's weights (0: no average)"
    )
    sampling_steps: int = Field(
        50,
        ge=1,
        le=TIMESTEPS,
        description=f"denoising steps per patch; must divide {TIMESTEPS}",
        json_schema_extra={"unit": "steps"},
    )
    eta: float = Field(
        0.0, ge=0, le=1, description="amount of noise added in each step: 0 for DDIM, 1 for DDPM's ancestral sampling"
    )

    @property
    def class_wise(self) -> bool:
        """True if one model per class is trained."""
        return not self.by_label

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if TIMESTEPS % self.sampling_steps:
            raise ValueError(
                f"sampling_steps={self.sampling_steps} must divide {TIMESTEPS}: choose for example 50 or 100"
            )
        if self.by_label and self.only_class:
            raise ValueError("by_label trains one model of all classes: leave out only_class")
        return self
