"""The generator of StyleGAN2 (Karras et al. 2020, Figs. 2 and 7)."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.stylegan2.config import Stylegan2Config
from histoforge.generators.stylegan2.mapping import MappingNetwork
from histoforge.layers.equalized import GAIN, SLOPE
from histoforge.layers.fir_filter import upsample
from histoforge.layers.modulated_conv import ModulatedConv2d

MEAN_SAMPLES = 1024
"""Number of styles in the mean of a class."""


class Stylegan2Generator(nn.Module):
    """A mapping network, and a synthesis network with skip connections: each block adds its image to the previous one.

    A block doubles the map by two modulated convolutions with noise, and draws an image from it. The first one has no
    doubling: it begins in a learned constant and has one convolution.

    Attributes:
        z_dim: length of the noise vector z.
        noise_dim: number of values of the noise inside the synthesis network, one per layer and position.
        layers: number of styles of a patch; each image shares its style with the convolution that follows it.
    """

    def __init__(self, config: Stylegan2Config, patch_size: tuple[int, int], doublings: int, classes: int) -> None:
        super().__init__()
        self.z_dim = config.z_dim
        sizes = [(patch_size[0] >> doubling, patch_size[1] >> doubling) for doubling in reversed(range(doublings + 1))]
        channels = [map_channels(config, size) for size in sizes]
        first = _Block(channels[0], channels[0], config.style_dim, doubles=False)
        later = [_Block(*pair, config.style_dim, doubles=True) for pair in pairwise(channels)]
        self.mapping = MappingNetwork(config.z_dim, classes, config.style_dim, config.mapping_layers)
        self.constant = nn.Parameter(torch.randn(1, channels[0], *sizes[0]))
        self.blocks = nn.ModuleList([first, *later])
        self.layers = 2 * len(sizes)
        self.noise_sizes = [sizes[0], *(size for size in sizes[1:] for _ in range(2))]
        self.noise_dim = sum(height * width for height, width in self.noise_sizes)

    def styles(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map noise [B, z_dim] and labels, int64 [B], to the same style for all layers, [B, layers, style_dim]."""
        return self.mapping(labels, z)[:, None].expand(-1, self.layers, -1)

    def synthesise(self, styles: Tensor, noise: Tensor) -> Tensor:
        """Draw images.

        Args:
            styles: [B, layers, style_dim].
            noise: standard normal, [B, noise_dim].

        Returns:
            float32 [B, 3, H, W]; not bounded, and near [-1, 1] after training.
        """
        values = noise.split([height * width for height, width in self.noise_sizes], dim=1)
        maps = [value.view(-1, 1, *size) for value, size in zip(values, self.noise_sizes, strict=True)]
        x = self.constant.expand(len(styles), -1, -1, -1)
        x, image = self.blocks[0](x, styles[:, :2], maps[:1])
        for index, block in enumerate(self.blocks[1:]):
            start = 2 * index + 1
            x, difference = block(x, styles[:, start : start + 3], maps[start : start + 2])
            image = upsample(image) + difference
        return image

    def mean_styles(self, labels: Tensor) -> Tensor:
        """Return the mean style of each label's class for all layers, [B, layers, style_dim].

        The mean is over a fixed sample of z. Deviation: Karras et al. 2019 (appendix B) have no classes and one mean.
        """
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(MEAN_SAMPLES, self.z_dim, generator=rng).to(labels.device)
        classes, rows = labels.unique(return_inverse=True)
        means = torch.stack([self.mapping(label.expand(MEAN_SAMPLES), z).mean(0) for label in classes])
        return means[rows, None].expand(-1, self.layers, -1)


class _Block(nn.Module):
    """One size of the synthesis network: its convolutions, and the image drawn after them."""

    def __init__(self, channels: int, out_channels: int, style_dim: int, doubles: bool) -> None:
        super().__init__()
        doubling = [_StyledConv(channels, out_channels, style_dim, up=True)] if doubles else []
        self.layers = nn.ModuleList([*doubling, _StyledConv(out_channels, out_channels, style_dim)])
        self.to_rgb = _ToRgb(out_channels, style_dim)

    def forward(self, x: Tensor, styles: Tensor, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Map [B, C, H, W] to the next map and an image, with a style and a noise map per layer, and a last style."""
        for layer, style, noise in zip(self.layers, styles.unbind(1), maps, strict=False):
            x = layer(x, style, noise)
        return x, self.to_rgb(x, styles[:, -1])


class _StyledConv(nn.Module):
    """A modulated 3x3 convolution, noise with a learned strength, a bias and a leaky ReLU (Fig. 2c)."""

    def __init__(self, channels: int, out_channels: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(channels, out_channels, 3, style_dim, up=up)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', H', W'] with styles [B, style_dim] and noise [B, 1, H', W']."""
        x = self.conv(x, style)
        x = x + (self.strength * noise).to(x.dtype) + self.bias[:, None, None].to(x.dtype)
        return F.leaky_relu(x, SLOPE) * GAIN


class _ToRgb(nn.Module):
    """A modulated 1x1 convolution to an image, without demodulation."""

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(channels, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Draw an image, float32 [B, 3, H, W], from a map [B, C, H, W]."""
        image: Tensor = self.conv(x, style).float() + self.bias[:, None, None]
        return image


def map_channels(config: Stylegan2Config, size: tuple[int, int]) -> int:
    """Return the number of channels of a map of this size, height and width, px."""
    return max(min(config.channel_base // min(size), config.channel_max), 1)
