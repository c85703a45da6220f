"""Layers with an equalised learning rate (Karras et al. 2018, "Progressive growing of GANs …", section 4.1)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
"""Slope of the leaky ReLU for negative values."""
GAIN = math.sqrt(2)
"""Keeps the variance of a signal through a leaky ReLU."""


class EqualizedLinear(nn.Module):
    """A linear layer whose weights are stored with unit variance and scaled when they are used.

    y = x (gain rate w / sqrt(inputs))^T + gain rate b, with w ~ N(0, 1) / rate at the start. Adam moves all stored
    weights at one pace, whatever the number of inputs. As the leaky ReLU commutes with positive factors, `gain` may be
    that of the activation which follows.

    Args:
        inputs, outputs: lengths of x and y.
        bias: value of b at the start, with `rate` 1.
        rate: factor on the learning rate of this layer (0.01 in the mapping network of StyleGAN).
        gain: factor on y.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.weight_scale, self.bias_scale = gain * rate / math.sqrt(inputs), gain * rate

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs] to [B, outputs]."""
        return F.linear(x, self.weight_scale * self.weight, self.bias_scale * self.bias)


class EqualizedConv2d(nn.Module):
    """A convolution of stride 1 or 2 whose weights are stored with unit variance and scaled when they are used.

    Args:
        channels, out_channels: numbers of channels.
        kernel: side of the kernel, px.
        stride: step between positions, px.
        padding: zeros around the map, px.
        bias: whether it has a bias, which starts at zero.
        gain: factor on the output, such as that of the activation which follows.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride, self.padding, self.gain = stride, padding, gain
        self.weight_scale = gain / math.sqrt(channels * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C', H', W']."""
        bias = None if self.bias is None else self.gain * self.bias
        return F.conv2d(x, self.weight_scale * self.weight, bias, self.stride, self.padding)
