"""HistoGAN's generator (Xue et al. 2021, section 3.1.1 and Fig. 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.geometry import Geometry
from histoforge.layers.attention import SelfAttention
from histoforge.layers.residual_block import ResidualBlock
from histoforge.layers.up_block import UpBlock


class HistoganGenerator(nn.Module):
    """Draws an image of each stage's size, from coarse to fine.

    Stage 1: a transposed convolution embeds [z, onehot(label)] in the base map, followed by four up-blocks and
    self-attention over the whole map. Each later stage passes the previous stage's features through residual blocks and
    an up-block. Each stage makes its image with a 3x3 convolution and tanh.

    Deviation A4-4: the label enters stage 1 with the noise and through conditional batch normalisation, and later
    stages only through the latter. A4-5: the paper does not give residual blocks and channels.
    """

    def __init__(self, config: HistoganConfig, geometry: Geometry, classes: int) -> None:
        super().__init__()
        self.classes, self.z_dim = classes, config.z_dim
        channels = [
            max(config.base_channels >> step, config.min_channels)
            for step in range(geometry.up_blocks + geometry.stages)
        ]
        self.embed = nn.ConvTranspose2d(config.z_dim + classes, channels[0], geometry.base)
        self.first = nn.ModuleList(
            UpBlock(channels[step], channels[step + 1], classes) for step in range(geometry.up_blocks)
        )
        stage_channels = channels[geometry.up_blocks :]
        self.attention = SelfAttention(stage_channels[0])
        self.later = nn.ModuleList(
            _Stage(stage_channels[stage], stage_channels[stage + 1], classes, config.residual_blocks)
            for stage in range(geometry.stages - 1)
        )
        self.heads = nn.ModuleList(nn.Conv2d(c, 3, 3, padding=1) for c in stage_channels)

    def forward(self, z: Tensor, labels: Tensor) -> list[Tensor]:
        """Draw the images of all stages.

        Args:
            z: standard normal, [B, z_dim].
            labels: int64 [B].

        Returns:
            float32 [B, 3, H_s, W_s] in [-1, 1] for each stage s, the patch size last.
        """
        return self.draw(z, labels)[0]

    def draw(self, z: Tensor, labels: Tensor) -> tuple[list[Tensor], Tensor]:
        """Draw the images of all stages like `forward`, and return also the attention map after stage 1, [B, N, N]."""
        vector = torch.cat([z, F.one_hot(labels, self.classes).to(z.dtype)], dim=1)
        x = self.embed(vector[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        for block in self.first:
            x = block(x, labels)
        x, attention = self.attention.attend(x)
        images = [_image(self.heads[0], x)]
        for stage, head in zip(self.later, self.heads[1:], strict=True):
            x = stage(x, labels)
            images.append(_image(head, x))
        return images, attention


class _Stage(nn.Module):
    """Residual blocks, then an up-block."""

    def __init__(self, channels: int, out_channels: int, classes: int, residual_blocks: int) -> None:
        super().__init__()
        self.residual = nn.ModuleList(ResidualBlock(channels, classes) for _ in range(residual_blocks))
        self.up = UpBlock(channels, out_channels, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', 2 H, 2 W]."""
        for block in self.residual:
            x = block(x, labels)
        return self.up(x, labels)


def _image(head: nn.Module, features: Tensor) -> Tensor:
    return torch.tanh(head(features).float())
