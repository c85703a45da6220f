"""The settings of HistoGAN; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from histoforge.generators.config import GeneratorConfig


class HistoganConfig(GeneratorConfig):
    """HistoGAN's networks, loss and optimiser (Xue et al. 2021, sections 3.1.1 and 4.2.1).

    Deviation A4-5: the paper does not give the length of z, the channels, Adam's betas, critic updates per generator
    update, or the dimensions of minibatch discrimination; the defaults are choices made here.
    """

    z_dim: int = Field(128, ge=1, le=4096, description="length of the noise vector z")
    stages: int = Field(
        0, ge=0, le=6, description="stages of the generator, each twice the size of the previous one (0: by patch size)"
    )
    up_blocks: int = Field(4, ge=1, le=8, description="up-sampling blocks of the first stage")
    residual_blocks: int = Field(2, ge=0, le=8, description="residual blocks of each later stage")
    base_channels: int = Field(
        512, ge=4, le=4096, description="generator channels at the smallest map, halved at each doubling"
    )
    min_channels: int = Field(64, ge=4, le=1024, description="minimum number of generator channels")
    critic_channels: int = Field(
        64, ge=4, le=1024, description="critic channels after the first block, doubled in each further block"
    )
    critic_max_channels: int = Field(512, ge=4, le=4096, description="maximum number of critic channels")
    critic_norm: Literal["cbn", "cln", "none"] = Field(
        "cln",
        description="normalisation in the critics: conditional batch norm (as in the paper; each score then depends on "
        "the whole batch, contrary to what the gradient penalty assumes), conditional layer norm, or none",
    )
    projection: bool = Field(
        False, description="whether the label also enters each critic by a projection (Miyato and Koyama 2018)"
    )
    sn: Literal["last", "all"] = Field("last", description="critic convolutions with spectral normalisation")
    minibatch_discrimination: bool = Field(
        True, description="whether critics also get the similarity of the patches of a batch"
    )
    minibatch_kernels: int = Field(64, ge=1, le=1024, description="kernels of minibatch discrimination")
    minibatch_dims: int = Field(16, ge=1, le=256, description="dimensions of each kernel")
    gp_weight: float = Field(10.0, ge=0, le=1000, description="weight of the gradient penalty (delta in the paper)")
    n_critic: int = Field(1, ge=1, le=20, description="critic updates for each update of the generator")
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Adam's learning rate, constant")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's second beta")
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the generator's weights (0: no average)"
    )
