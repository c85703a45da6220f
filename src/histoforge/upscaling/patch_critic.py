"""PatchGAN: a discriminator that judges overlapping patches of 70 px (Isola et al. 2017, section 3.2.2)."""

from itertools import pairwise

from torch import Tensor, nn

from histoforge.layers.spectral_norm import spectral_norm

SMALLEST_SIDE = 24
"""Smallest side of the images that it can judge, px."""


class PatchCritic(nn.Sequential):
    """Three halvings of the resolution and two layers at the last one, with spectral normalisation (Zhang et al. 2021).

    Maps float [B, 3, H, W] to scores [B, 1, H / 8 - 2, W / 8 - 2].
    """

    def __init__(self, channels: int = 64) -> None:
        widths = [3, channels, 2 * channels, 4 * channels, 8 * channels]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if index < 3 else 1
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride, padding=1)), nn.LeakyReLU(0.2)]
        super().__init__(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 4, padding=1)))

    def forward(self, images: Tensor) -> Tensor:
        """Score every patch of images, float [B, 3, H, W] in [-1, 1]."""
        scores: Tensor = super().forward(images)
        return scores.float()
