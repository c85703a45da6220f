"""The architecture of an autoencoder; imports nothing heavy."""

from typing import Any

from pydantic import Field

from histoforge.core.settings import Settings


class Architecture(Settings):
    """The parameters of diffusers' AutoencoderKL, under its names, that distinguish published autoencoders.

    Attributes:
        block_out_channels: channels of each level; each is half the size of the previous one.
        layers_per_block: residual blocks of each level of the encoder; the decoder has one more.
        latent_channels: channels of the latents.
        norm_num_groups: groups of the group normalisation.
        mid_block_add_attention: whether the smallest level has self-attention.
        use_quant_conv, use_post_quant_conv: whether a 1x1 convolution follows the encoder and precedes the decoder.
    """

    block_out_channels: tuple[int, ...] = Field(min_length=1)
    layers_per_block: int = Field(1, ge=1)
    latent_channels: int = Field(4, ge=1)
    norm_num_groups: int = Field(32, ge=1)
    mid_block_add_attention: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True

    @property
    def factor(self) -> int:
        """Pixels per side of one latent."""
        return int(2 ** (len(self.block_out_channels) - 1))

    @classmethod
    def of_diffusers(cls, config: dict[str, Any]) -> "Architecture":
        """Return the architecture in the `config.json` of diffusers' AutoencoderKL, whose other values are ignored."""
        return cls.make({name: value for name, value in config.items() if name in cls.model_fields})
