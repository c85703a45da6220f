"""The network of ESRGAN: residual blocks of residual dense blocks (Wang et al. 2018, section 3.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.upscaling.pairs import enlarge_bicubic

RESIDUAL_SCALE = 0.2
SLOPE = 0.2


class RrdbNet(nn.Module):
    """Enlarges images by a power of two.

    Deviation: the network predicts what is missing in the bicubically enlarged image, and its last layer begins at 0,
    so that training starts from bicubic interpolation.

    Args:
        scale: 2, 4 or 8.
        channels: number of feature maps.
        blocks: number of residual blocks of three dense blocks each.
        growth: feature maps that each convolution of a dense block adds.
    """

    def __init__(self, scale: int, channels: int = 64, blocks: int = 23, growth: int = 32) -> None:
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualInResidual(channels, growth) for _ in range(blocks)))
        self.after_body = nn.Conv2d(channels, channels, 3, padding=1)
        doublings = scale.bit_length() - 1
        self.doubling = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(doublings))
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 3, 3, padding=1)
        for weights in self.last.parameters():
            nn.init.zeros_(weights)

    def forward(self, small: Tensor) -> Tensor:
        """Enlarge images, float [B, 3, h, w] in [-1, 1]: float32 [B, 3, h scale, w scale], not limited to [-1, 1]."""
        features = self.first(small)
        features = features + self.after_body(self.body(features))
        for conv in self.doubling:
            features = F.leaky_relu(conv(F.interpolate(features, scale_factor=2, mode="nearest")), SLOPE)
        details = self.last(F.leaky_relu(self.refine(features), SLOPE))
        return enlarge_bicubic(small.float(), self.scale) + details.float()


class ResidualInResidual(nn.Module):
    """Three dense blocks with a shortcut around them."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(channels, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL_SCALE * self.blocks(x)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the maps of all before it, with a shortcut around them."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        widths = [growth] * 4 + [channels]
        self.convs = nn.ModuleList(_small_conv(channels + index * growth, width) for index, width in enumerate(widths))

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for conv in self.convs[:-1]:
            maps.append(F.leaky_relu(conv(torch.cat(maps, 1)), SLOPE))
        return x + RESIDUAL_SCALE * self.convs[-1](torch.cat(maps, 1))


def _small_conv(channels: int, out_channels: int) -> nn.Conv2d:
    """Return a convolution with a tenth of the usual initial weights, as in the authors' code."""
    conv = nn.Conv2d(channels, out_channels, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight, SLOPE)
    conv.weight.data *= 0.1
    return conv
