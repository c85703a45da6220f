"""The settings of VQGAN; imports nothing heavy."""

from typing import Self

from pydantic import Field, model_validator

from histoforge.generators.config import GeneratorConfig


class VqganConfig(GeneratorConfig):
    """VQGAN's two stages: an autoencoder with a codebook, and a transformer that draws codes (Esser et al. 2021).

    The defaults are those of the authors' code (CompVis/taming-transformers, `custom_vqgan.yaml` and
    `custom_transformer.yaml`), with these choices made here: a smaller transformer, a larger batch with the learning
    rates that their rule gives for it (4.5e-6 times the batch size), one training of both stages, and codes that are
    restarted (Dhariwal et al. 2020, "Jukebox", section 3.1).
    """

    batch_size: int = Field(16, ge=2, description="patches per step", json_schema_extra={"unit": "patches"})
    fid_every: int = Field(
        10, ge=1, description="epochs from one FID to the next", json_schema_extra={"unit": "epochs"}
    )
    codebook_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="share of the steps that train the autoencoder and its codebook, before the transformer",
    )
    vq_channels: int = Field(
        128,
        ge=4,
        le=1024,
        multiple_of=4,
        description="channels of the autoencoder's first level; they double at every second level, up to four times",
    )
    downsamplings: int = Field(
        4, ge=1, le=6, description="times that the encoder halves a patch: a code stands for 2 to this power px a side"
    )
    level_blocks: int = Field(2, ge=1, le=8, description="residual blocks of each level")
    codebook_size: int = Field(1024, ge=2, le=65536, description="number of codes")
    code_channels: int = Field(256, ge=1, le=1024, description="length of a code's vector")
    commitment_weight: float = Field(
        0.25, ge=0, le=10, description="weight of the term that holds the encoder near the codes (beta)"
    )
    restart_after: int = Field(
        100,
        ge=0,
        description="steps without use after which a code is set to a random output of the encoder (0: never)",
        json_schema_extra={"unit": "steps"},
    )
    lpips_weights: str = Field(
        "",
        description="path or s3:// address of torchvision's vgg16 weights for LPIPS, the perceptual term of the loss "
        "('': no such term)",
    )
    lpips_sha256: str = Field(
        "", pattern=r"^([0-9a-fA-F]{64})?$", description="required SHA-256 of that file ('': no check)"
    )
    perceptual_weight: float = Field(1.0, gt=0, le=100, description="weight of the perceptual term, where there is one")
    discriminator_channels: int = Field(
        64, ge=4, le=512, description="channels of the discriminator's first layer; later ones have up to eight times"
    )
    discriminator_layers: int = Field(
        3, ge=1, le=6, description="times that the discriminator halves a patch before it scores each place of the map"
    )
    discriminator_start: int = Field(
        10000,
        ge=0,
        description="steps before the discriminator takes part",
        json_schema_extra={"unit": "steps"},
    )
    adversarial_weight: float = Field(
        0.8, ge=0, le=100, description="factor on the adaptive weight of the adversarial term (0: no discriminator)"
    )
    learning_rate: float = Field(7.2e-5, gt=0, le=1, description="Adam's learning rate, constant")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first beta")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's second beta")
    prior_layers: int = Field(12, ge=1, le=96, description="layers of the transformer")
    prior_channels: int = Field(512, ge=8, le=8192, description="length of a token in the transformer")
    prior_heads: int = Field(8, ge=1, le=128, description="attention heads of the transformer")
    prior_dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the transformer")
    prior_learning_rate: float = Field(
        7.2e-5, gt=0, le=1, description="AdamW's learning rate for the transformer, constant"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's weight decay")
    draw_temperature: float = Field(
        1.0, gt=0, le=10, description="in drawing, the logits of codes are divided by this (below 1: less variety)"
    )
    top_k: int = Field(0, ge=0, description="in drawing, the number of likeliest codes to choose from (0: all)")

    @property
    def factor(self) -> int:
        """Pixels per side of one code."""
        return int(2**self.downsamplings)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.prior_channels % self.prior_heads:
            raise ValueError(
                f"prior_channels={self.prior_channels} must be a multiple of prior_heads={self.prior_heads}"
            )
        if self.lpips_sha256 and not self.lpips_weights:
            raise ValueError("lpips_sha256 is the checksum of lpips_weights: set both, or leave both out")
        return self
