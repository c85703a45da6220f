"""The patch discriminator of VQGAN (Isola et al. 2017, section 3.2.2)."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.vqgan.config import VqganConfig

SLOPE = 0.2
WIDEST = 8
"""Channels double up to eight times those of the first layer."""


class PatchDiscriminator(nn.Module):
    """Scores each place of an image: 4x4 convolutions with batch normalisation and LeakyReLU.

    The first `discriminator_layers` convolutions have stride 2, two more have stride 1. Weights are initialised from
    N(0, 0.02).
    """

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        first, halvings = config.discriminator_channels, config.discriminator_layers
        channels = [first * min(2**layer, WIDEST) for layer in range(halvings + 1)]
        strides = [2] * (halvings - 1) + [1]
        self.first = nn.Conv2d(3, first, 4, stride=2, padding=1)
        self.layers = nn.Sequential(
            *(_layer(*pair, stride) for pair, stride in zip(pairwise(channels), strides, strict=True))
        )
        self.score = nn.Conv2d(channels[-1], 1, 4, padding=1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Score images [B, 3, H, W] in [-1, 1]: float32 [B, 1, h, w], not bounded."""
        scores: Tensor = self.score(self.layers(F.leaky_relu(self.first(images), SLOPE)))
        return scores.float()


def _layer(channels: int, out_channels: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, out_channels, 4, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.LeakyReLU(SLOPE))


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, 0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1, 0.02)
