"""The down-block of HistoGAN's critics (Xue et al. 2021, section 4.2.1)."""

import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.layers.critic_norm import CriticNorm, critic_norm
from histoforge.layers.spectral_norm import spectral_norm
from histoforge.layers.strided_conv import StridedConv2d


class DownBlock(nn.Module):
    """4x4 convolution with stride 2, conditional normalisation, LeakyReLU(0.2).

    Args:
        channels: number of input channels.
        out_channels: number of output channels.
        classes: number of classes.
        norm: the normalisation.
        sn: whether to apply spectral normalisation to the convolution.
    """

    def __init__(self, channels: int, out_channels: int, classes: int, norm: CriticNorm, sn: bool) -> None:
        super().__init__()
        conv = StridedConv2d(channels, out_channels, bias=norm == "none")
        self.conv = spectral_norm(conv) if sn else conv
        self.norm = critic_norm(norm, out_channels, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', H / 2, W / 2]."""
        return F.leaky_relu(self.norm(self.conv(x), labels), 0.2)
