"""DCGAN's generator and discriminator (Radford et al. 2016, section 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.dcgan.config import GanConfig
from histoforge.layers.spectral_norm import spectral_norm
from histoforge.layers.strided_conv import StridedConv2d, StridedConvTranspose2d

SLOPE = 0.2
WIDEST = 8
"""Feature maps double up to eight times those of the outermost layer: from 64 to 512, as published for 64 px."""


class DcganGenerator(nn.Module):
    """Generator of transposed convolutions of stride 2 with batch normalisation and ReLU; the output layer uses tanh.

    A first layer brings the noise to the smallest map. Weights are initialised as N(0, 0.02) (section 4). The first
    layer, a transposed convolution of 1x1, is implemented as the equivalent matrix product.
    """

    def __init__(self, config: GanConfig, patch_size: tuple[int, int], doublings: int) -> None:
        super().__init__()
        maps = _widths(config.generator_maps, doublings)[::-1]
        self.z_dim = config.z_dim
        self.base = (patch_size[0] >> doublings, patch_size[1] >> doublings, maps[0])
        self.embed = nn.Linear(config.z_dim, self.base[0] * self.base[1] * maps[0], bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(count) for count in maps)
        self.ups = nn.ModuleList(
            StridedConvTranspose2d(before, after) for before, after in zip(maps, [*maps[1:], 3], strict=True)
        )
        self.apply(_initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Draw images, float32 [B, 3, H, W] in [-1, 1], from standard normal noise [B, z_dim]."""
        x = self.embed(z).unflatten(1, self.base).permute(0, 3, 1, 2)  # already channels_last in memory
        for norm, up in zip(self.norms, self.ups, strict=True):
            x = up(F.relu(norm(x), inplace=True))
        return torch.tanh(x.float())


class DcganDiscriminator(nn.Module):
    """Convolutions of stride 2 with normalisation (except the first) and LeakyReLU, then one score for the whole map.

    Attributes:
        couples_patches: whether a score depends on the other patches of the batch (batch normalisation).
    """

    def __init__(self, config: GanConfig, patch_size: tuple[int, int], doublings: int, sn: bool = False) -> None:
        super().__init__()
        maps = _widths(config.discriminator_maps, doublings)
        self.couples_patches = config.discriminator_norm == "batch"
        self.downs = nn.ModuleList(
            StridedConv2d(before, after) for before, after in zip([3, *maps[:-1]], maps, strict=True)
        )
        kinds = ["none", *[config.discriminator_norm] * (doublings - 1)]
        self.norms = nn.ModuleList(_norm(kind, count) for kind, count in zip(kinds, maps, strict=True))
        self.score = nn.Linear((patch_size[0] >> doublings) * (patch_size[1] >> doublings) * maps[-1], 1, bias=False)
        self.apply(_initialise)
        if sn:
            for layer in (*self.downs, self.score):
                spectral_norm(layer)

    def forward(self, images: Tensor) -> Tensor:
        """Score images [B, 3, H, W] in [-1, 1]: logits, float32 [B]."""
        x = images
        for down, norm in zip(self.downs, self.norms, strict=True):
            x = F.leaky_relu(norm(down(x)), SLOPE)
        with torch.autocast(x.device.type, enabled=False):
            return self.score(x.permute(0, 2, 3, 1).flatten(1).float()).squeeze(1)


def _widths(outermost: int, layers: int) -> list[int]:
    return [outermost * min(2**layer, WIDEST) for layer in range(layers)]


def _norm(kind: str, maps: int) -> nn.Module:
    """Return batch normalisation, layer normalisation over the whole map of each image, or no normalisation."""
    return {"batch": nn.BatchNorm2d(maps), "layer": nn.GroupNorm(1, maps), "none": nn.Identity()}[kind]


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
        nn.init.normal_(layer.weight, 1, 0.02)
        nn.init.zeros_(layer.bias)
