"""The settings of StyleGAN2; imports nothing heavy."""

from pydantic import Field

from histoforge.generators.config import GeneratorConfig
from histoforge.generators.dcgan.config import POLICY


class Stylegan2Config(GeneratorConfig):
    """StyleGAN2's networks, regularisers and optimiser (Karras et al. 2020, section 3 and appendix B).

    The networks are conditional as in Karras et al. 2020, "Training generative adversarial networks with limited data"
    (below: ADA), from which the heuristic of `r1_gamma` comes too (appendix C). That paper's adaptive augmentation is
    not included; `diff_augment` serves the same purpose.
    """

    batch_size: int = Field(32, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    z_dim: int = Field(512, ge=1, le=4096, description="length of the noise vector z")
    style_dim: int = Field(512, ge=1, le=4096, description="length of a style (w in the paper)")
    mapping_layers: int = Field(8, ge=1, le=16, description="layers of the network that maps z to a style")
    channel_base: int = Field(
        16384,
        ge=64,
        le=262144,
        description="channels of both networks: a map with a side of n px has this divided by n, at most `channel_max`",
    )
    channel_max: int = Field(512, ge=4, le=4096, description="maximum number of channels of a map")
    style_mixing: float = Field(
        0.9, ge=0, le=1, description="share of synthetic patches in training whose later layers have a second style"
    )
    r1_gamma: float = Field(
        0.0,
        ge=0,
        le=10000,
        description="weight of the R1 penalty (gamma; 0: 0.0002 times the pixels of a patch, divided by batch_size)",
    )
    r1_every: int = Field(
        16,
        ge=1,
        le=64,
        description="steps from one R1 penalty to the next, which is weighted as many times as much",
        json_schema_extra={"unit": "steps"},
    )
    path_weight: float = Field(2.0, ge=0, le=1000, description="weight of the path length penalty (0: no penalty)")
    path_every: int = Field(
        8,
        ge=1,
        le=64,
        description="steps from one path length penalty to the next, which is weighted as many times as much",
        json_schema_extra={"unit": "steps"},
    )
    path_decay: float = Field(
        0.01, gt=0, le=1, description="weight of each new batch in the moving average of path lengths"
    )
    minibatch_group: int = Field(
        4, ge=1, le=64, description="patches whose deviation the discriminator sees together (1: none)"
    )
    learning_rate: float = Field(2e-3, gt=0, le=1, description="Adam's learning rate, constant")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's second beta")
    diff_augment: str = Field(
        "",
        pattern=POLICY,
        description="differentiable augmentation of the discriminator's input (Zhao et al. 2020): 'colour', "
        "'translation', 'cutout', or several separated by commas ('': none)",
    )
    ema_half_life: int = Field(
        10000,
        ge=0,
        description="synthetic patches after which a weight has half its share in the moving average of the generator "
        "(0: no average)",
        json_schema_extra={"unit": "patches"},
    )
    truncation_psi: float = Field(
        1.0,
        ge=0,
        le=1,
        description="in drawing, the distance of styles from their class's mean is multiplied by this (less variety, "
        "fewer failures; 1: no truncation)",
    )

    @property
    def ema_decay(self) -> float:
        """Decay per step of the moving average of the generator's weights; 0 for no average."""
        return 0.5 ** (self.batch_size / self.ema_half_life) if self.ema_half_life else 0.0
