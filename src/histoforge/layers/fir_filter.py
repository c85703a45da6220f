"""The low-pass filter of StyleGAN2, with which maps are smoothed, halved and doubled (Karras et al. 2020, Fig. 7).

The filter is [1, 3, 3, 1] / 8 along both axes; beyond its border, a map is zero. It always runs in float32: on a CPU, a
depthwise convolution takes many times as long in bfloat16.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)


def smooth(x: Tensor, padding: int, stride: int = 1) -> Tensor:
    """Filter [B, C, H, W] to [B, C, H', W'] with H' = (H + 2 padding - 4) // stride + 1.

    Args:
        x: the map.
        padding: zeros on each side, px.
        stride: keeps every `stride`-th value, px.
    """
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.float(), _kernel(x), None, stride, padding, groups=x.shape[1]).to(x.dtype)


def downsample(x: Tensor) -> Tensor:
    """Halve a map of even sides, [B, C, 2 H, 2 W] to [B, C, H, W], after filtering."""
    return smooth(x, padding=1, stride=2)


def upsample(x: Tensor) -> Tensor:
    """Double a map, [B, C, H, W] to [B, C, 2 H, 2 W]: put zeros between its values, filter, and multiply by 4."""
    with torch.autocast(x.device.type, enabled=False):
        return F.conv_transpose2d(x.float(), 4 * _kernel(x), None, 2, 1, groups=x.shape[1]).to(x.dtype)


def _kernel(x: Tensor) -> Tensor:
    """Return the filter for each channel of `x`, float32 [C, 1, 4, 4]."""
    taps = torch.tensor(TAPS, device=x.device)
    return torch.outer(taps, taps).expand(x.shape[1], 1, len(TAPS), len(TAPS))
