"""The up-block of HistoGAN's generator (Xue et al. 2021, section 4.2.1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.layers.conditional_batch_norm import ConditionalBatchNorm


class UpBlock(nn.Module):
    """Bilinear up-sampling by 2, 3x3 convolution, conditional batch normalisation, ReLU."""

    def __init__(self, channels: int, out_channels: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
        self.norm = ConditionalBatchNorm(out_channels, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', 2 H, 2 W]."""
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.conv(x), labels))
