"""The residual block of HistoGAN's later stages (Xue et al. 2021, section 4.2.1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.layers.conditional_batch_norm import ConditionalBatchNorm


class ResidualBlock(nn.Module):
    """Add to x two 3x3 convolutions with conditional batch normalisation and a ReLU between them."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = ConditionalBatchNorm(channels, classes)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = ConditionalBatchNorm(channels, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Apply the block to [B, C, H, W], keeping the shape."""
        hidden = F.relu(self.norm1(self.conv1(x), labels))
        return x + self.norm2(self.conv2(hidden), labels)
