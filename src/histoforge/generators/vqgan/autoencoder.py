"""The autoencoder of VQGAN: diffusers' VQModel, whose latents are codes of a learned codebook (section 3.1)."""

import math
from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.vq_model import VQModel
from torch import Tensor, nn

from histoforge.generators.vqgan.config import VqganConfig
from histoforge.layers.group_norm import use_float32_group_norm


@dataclass(frozen=True)
class Coding:
    """Codes and reconstructions of images.

    Attributes:
        encoded: the encoder's output before it is quantised, float32 [B, D, h, w].
        codes: the nearest codes, int64 [B, h, w].
        codebook_loss: ||sg[E(x)] - z_q||^2 + beta ||sg[z_q] - E(x)||^2, per value, float32 [].
        restored: the images, float32 [B, 3, H, W], not limited to [-1, 1].
    """

    encoded: Tensor
    codes: Tensor
    codebook_loss: Tensor
    restored: Tensor


class CodebookAutoencoder(nn.Module):
    """An encoder, a codebook of vectors, and a decoder.

    The channels are those of the authors' `custom_vqgan.yaml` at its five levels. A3-14: self-attention is applied in
    the middle alone, as diffusers' VQModel has it, and not also at the smallest level; beta weights the term that moves
    the encoder (van den Oord et al. 2017, eq. 3), and not the other one, as in the authors' code.
    """

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        levels = config.downsamplings + 1
        self.vq = VQModel(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(config.vq_channels * min(2 ** (level // 2), 4) for level in range(levels)),
            layers_per_block=config.level_blocks,
            latent_channels=config.code_channels,
            num_vq_embeddings=config.codebook_size,
            norm_num_groups=math.gcd(config.vq_channels, 32),
        )
        self.vq.quantize.beta, self.vq.quantize.legacy = config.commitment_weight, False
        use_float32_group_norm(self.vq)

    @property
    def codebook(self) -> nn.Embedding:
        """The vectors of the codes, [codes, D]."""
        return self.vq.quantize.embedding

    @property
    def last_layer(self) -> nn.Parameter:
        """The weights of the decoder's last layer, at which eq. 7 compares gradients."""
        weight: nn.Parameter = self.vq.decoder.conv_out.weight
        return weight

    def forward(self, images: Tensor) -> Coding:
        """Encode, quantise and restore images, float [B, 3, H, W] in [-1, 1]; gradients pass straight through."""
        encoded, quantised, loss, codes = self._quantised(images)
        return Coding(encoded, codes, loss, self._restored(quantised))

    def encode(self, images: Tensor) -> Tensor:
        """Return the codes of images, float [B, 3, H, W] in [-1, 1]: int64 [B, h, w]."""
        return self._quantised(images)[3]

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images of codes, int64 [B, h, w]: float32 [B, 3, H, W] in [-1, 1]."""
        return self._restored(self.codebook(codes).permute(0, 3, 1, 2)).clamp(-1, 1)

    def _quantised(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        encoded = self.vq.encode(images, return_dict=False)[0].float()
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 does not tell near codes apart
            quantised, loss, (_, _, codes) = self.vq.quantize(encoded)
        return encoded, quantised, loss, codes.view(len(images), *encoded.shape[2:])

    def _restored(self, quantised: Tensor) -> Tensor:
        images: Tensor = self.vq.decode(quantised, force_not_quantize=True, return_dict=False)[0]
        return images.float()
