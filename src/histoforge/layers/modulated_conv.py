"""The modulated convolution of StyleGAN2 (Karras et al. 2020, section 2.2, eqs. 1 to 3)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.layers.equalized import EqualizedLinear
from histoforge.layers.fir_filter import smooth

EPSILON = 1e-8


class ModulatedConv2d(nn.Module):
    """A convolution whose weights are scaled for each image by its style.

    With s = A(style), i for input and j for output channels, and k for positions of the kernel:

        w'_ijk = s_i w_ijk (eq. 1),  w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + epsilon) (eq. 3).

    A convolution with weights of its own for each image is a grouped one. As s depends on no position and the divisor
    on no input channel, scaling the input by s and the output by one over the divisor gives the same with one set of
    weights, and is faster on a CPU. Both factors are computed in float32 at any precision.

    Args:
        channels, out_channels: numbers of channels.
        kernel: side of the kernel, odd, px.
        style_dim: length of a style.
        demodulate: whether to divide as in eq. 3.
        up: whether to double the map: a transposed convolution, then the low-pass filter. The kernel must be 3.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        up: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, channels, kernel, kernel))
        self.affine = EqualizedLinear(style_dim, channels, bias=1.0)
        self.scale = 1 / math.sqrt(channels * kernel**2)
        self.demodulate, self.up = demodulate, up

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', H, W], or to [B, C', 2 H, 2 W] with `up`, for styles [B, style_dim]."""
        with torch.autocast(x.device.type, enabled=False):
            modulation = self.affine(style.float())
            weight = self.scale * self.weight
            demodulation = (modulation.square() @ weight.square().sum((2, 3)).t() + EPSILON).rsqrt()
        y = self._convolve(x * modulation[:, :, None, None].to(x.dtype), weight)
        return y * demodulation[:, :, None, None].to(y.dtype) if self.demodulate else y

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        if not self.up:
            return F.conv2d(x, weight, padding=weight.shape[2] // 2)
        y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [B, C', 2 H + 1, 2 W + 1]
        return 4 * smooth(y, padding=1)
