"""The settings of DCGAN and related methods; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from histoforge.generators.config import ClassWiseConfig

POLICY = "^$|^(colour|translation|cutout)(,(colour|translation|cutout))*$"


class GanConfig(ClassWiseConfig):
    """DCGAN's networks and their updates (Radford et al. 2016, sections 3 and 4)."""

    batch_size: int = Field(128, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    z_dim: int = Field(100, ge=1, le=4096, description="length of the noise vector z")
    generator_maps: int = Field(
        64, ge=4, le=1024, description="feature maps of the generator's last hidden layer, doubled towards the noise"
    )
    discriminator_maps: int = Field(
        64, ge=4, le=1024, description="feature maps of the discriminator's first layer, doubled towards its score"
    )
    discriminator_norm: Literal["batch", "layer", "none"] = Field(
        "batch", description="normalisation of the discriminator's hidden layers"
    )
    learning_rate: float = Field(2e-4, gt=0, le=1, description="Adam's learning rate, constant")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's second beta")
    n_critic: int = Field(1, ge=1, le=20, description="critic updates for each update of the generator")
    clip: Literal["none", "value", "norm"] = Field(
        "none", description="clipping of the gradients of both networks: each value, the norm, or none"
    )
    clip_at: float = Field(0.1, gt=0, le=1000, description="maximum value or norm of a clipped gradient")
    diff_augment: str = Field(
        "",
        pattern=POLICY,
        description="differentiable augmentation of the discriminator's input (Zhao et al. 2020): 'colour', "
        "'translation', 'cutout', or several separated by commas ('': none)",
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the generator's weights (0: no average)"
    )


class DcganConfig(GanConfig):
    """DCGAN: the non-saturating loss of Goodfellow et al. 2014."""

    real_target: float = Field(
        1.0,
        gt=0.5,
        le=1,
        description="the discriminator's target for a real patch (below 1: one-sided label smoothing)",
    )


class ImprovedDcganConfig(DcganConfig):
    """DCGAN with one-sided label smoothing (Salimans et al. 2016, section 3.4) and clipped gradients.

    This is the base GAN of Mustafa 2024 (section III.D). A0-9: the paper gives no amount of smoothing, and 0.9 is the
    choice made here; "a clip value of 0.1" is read as a bound on each value of the gradients of both networks.
    """

    real_target: float = Field(
        0.9,
        gt=0.5,
        le=1,
        description="the discriminator's target for a real patch (below 1: one-sided label smoothing)",
    )
    clip: Literal["none", "value", "norm"] = Field(
        "value", description="clipping of the gradients of both networks: each value, the norm, or none"
    )


class SnganConfig(GanConfig):
    """SNGAN: spectral normalisation of the discriminator and the hinge loss (Miyato et al. 2018).

    Learning rate, betas and updates are those of the paper's setting C (section 4, table 1), which is DCGAN's.
    """

    discriminator_norm: Literal["batch", "layer", "none"] = Field(
        "none", description="normalisation of the discriminator's hidden layers"
    )


class WganGpConfig(GanConfig):
    """WGAN-GP (Gulrajani et al. 2017): Adam and updates of Algorithm 1, layer normalisation of section 4."""

    discriminator_norm: Literal["batch", "layer", "none"] = Field(
        "layer", description="normalisation of the discriminator's hidden layers"
    )
    learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's learning rate, constant")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's second beta")
    n_critic: int = Field(5, ge=1, le=20, description="critic updates for each update of the generator")
    gp_weight: float = Field(10.0, ge=0, le=1000, description="weight of the gradient penalty (delta in the paper)")


class LsganConfig(GanConfig):
    """LSGAN: least squares instead of cross entropy (Mao et al. 2017)."""
