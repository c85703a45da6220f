"""The discriminator of StyleGAN2 (Karras et al. 2020, Fig. 7), conditional by projection as in ADA."""

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.stylegan2.config import Stylegan2Config
from histoforge.generators.stylegan2.generator import map_channels
from histoforge.generators.stylegan2.mapping import MappingNetwork
from histoforge.layers.equalized import GAIN, SLOPE, EqualizedConv2d, EqualizedLinear
from histoforge.layers.fir_filter import downsample, smooth
from histoforge.layers.minibatch_std import MinibatchStd


class Stylegan2Discriminator(nn.Module):
    """Residual blocks down to the smallest map, the deviation of the batch, and two layers.

    The score is the inner product of a vector of the image and one of the class, which a mapping network computes from
    the label (Miyato and Koyama 2018).
    """

    def __init__(self, config: Stylegan2Config, patch_size: tuple[int, int], doublings: int, classes: int) -> None:
        super().__init__()
        height, width = (side >> doublings for side in patch_size)
        channels = [
            map_channels(config, (patch_size[0] >> less, patch_size[1] >> less)) for less in range(doublings + 1)
        ]
        last = channels[-1]
        self.from_rgb = EqualizedConv2d(3, channels[0], 1, gain=GAIN)
        self.blocks = nn.ModuleList(_ResidualBlock(before, after) for before, after in pairwise(channels))
        self.deviation = MinibatchStd(config.minibatch_group)
        self.conv = EqualizedConv2d(last + 1, last, 3, padding=1, gain=GAIN)
        self.linear = EqualizedLinear(last * height * width, last, gain=GAIN)
        self.head = EqualizedLinear(last, last)
        self.mapping = MappingNetwork(0, classes, last, config.mapping_layers)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Score images [B, 3, H, W] in [-1, 1] of the classes `labels`, int64 [B]: float32 [B], not bounded."""
        x = F.leaky_relu(self.from_rgb(images), SLOPE)
        for block in self.blocks:
            x = block(x)
        x = F.leaky_relu(self.conv(self.deviation(x)), SLOPE)
        x = F.leaky_relu(self.linear(x.flatten(1)), SLOPE)
        vectors = self.head(x).float()
        score: Tensor = (vectors * self.mapping(labels)).sum(1) / math.sqrt(vectors.shape[1])
        return score


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions, of which the second halves the map, and a 1x1 convolution beside them."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = EqualizedConv2d(channels, channels, 3, padding=1, gain=GAIN)
        # The sum of both paths has twice their variance, so that each is divided by sqrt(2).
        self.second = EqualizedConv2d(channels, out_channels, 3, stride=2, gain=GAIN / math.sqrt(2))
        self.skip = EqualizedConv2d(channels, out_channels, 1, bias=False, gain=1 / math.sqrt(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, 2 H, 2 W] to [B, C', H, W]."""
        y = F.leaky_relu(self.first(x), SLOPE)
        y = F.leaky_relu(self.second(smooth(y, padding=2)), SLOPE)
        return y + self.skip(downsample(x))
