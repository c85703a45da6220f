"""DCGAN's 4x4 convolutions with stride 2 (Radford et al. 2016), fast on a CPU in bfloat16.

For small maps, with few positions and many channels, oneDNN's kernels took half of DCGAN-64's step on a processor with
AMX, while plain matrix products over the same values take a quarter of that time. Without AMX, oneDNN's kernels are as
fast as the processor multiplies, except for the weight gradient, which takes twice as long as the products. A
convolution is linear in the map and in the weights, so the derivatives of the convolution, its transpose and its weight
gradient are these three operations again. The second derivatives of a gradient penalty therefore run on the same
kernels, where torch's own are far slower (docs/benchmarks.md covers both). On a GPU and in float32 these are the
ordinary layers. The weights are identical everywhere, and the results are equal up to rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

KERNEL, STRIDE, PADDING = 4, 2, 1
SMALL_MAP = 36
"""Maximum number of positions in the smaller map for which matrix products are faster."""
HAS_AMX = torch.cpu._is_amx_tile_supported()


class StridedConv2d(nn.Conv2d):
    """A 4x4 convolution with stride 2 and padding 1: [B, C, H, W] to [B, D, H / 2, W / 2]."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(in_channels, out_channels, KERNEL, STRIDE, PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return the map at half size; height and width must be even."""
        if not _bfloat16_on_cpu(input):
            return super().forward(input)
        halved = _Conv.apply(input.bfloat16(), self.weight.bfloat16())
        return halved if self.bias is None else halved + self.bias.bfloat16().view(-1, 1, 1)


class StridedConvTranspose2d(nn.ConvTranspose2d):
    """The transpose of `StridedConv2d`: [B, D, H, W] to [B, C, 2 H, 2 W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, KERNEL, STRIDE, PADDING, bias=False)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the map at double size."""
        if output_size is not None or not _bfloat16_on_cpu(input):
            return super().forward(input, output_size)
        return _Transpose.apply(input.bfloat16(), self.weight.bfloat16())


def _bfloat16_on_cpu(input: Tensor) -> bool:
    return (
        input.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, large: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(large, weight)
        return _convolved(large, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (large, weight), (small,) = ctx.saved_tensors, gradients
        to_large, to_weight = ctx.needs_input_grad
        return (
            _Transpose.apply(small, weight) if to_large else None,
            _WeightGradient.apply(large, small) if to_weight else None,
        )


class _Transpose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, small: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(small, weight)
        return _transposed(small, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (small, weight), (large,) = ctx.saved_tensors, gradients
        to_small, to_weight = ctx.needs_input_grad
        return (
            _Conv.apply(large, weight) if to_small else None,
            _WeightGradient.apply(large, small) if to_weight else None,
        )


class _WeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, large: Tensor, small: Tensor) -> Tensor:
        ctx.save_for_backward(large, small)
        return _weight_gradient(large, small)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (large, small), (weight,) = ctx.saved_tensors, gradients
        to_large, to_small = ctx.needs_input_grad
        return (
            _Transpose.apply(small, weight) if to_large else None,
            _Conv.apply(large, weight) if to_small else None,
        )


def _is_small(map: Tensor) -> bool:
    return map.shape[2] * map.shape[3] <= SMALL_MAP


def _convolved(large: Tensor, weight: Tensor) -> Tensor:
    """Convolve [B, C, 2 H, 2 W] to [B, D, H, W]; small maps use one matrix product."""
    if not (HAS_AMX and _is_small(large[:, :, ::STRIDE, ::STRIDE])):
        return F.conv2d(large, weight, None, STRIDE, PADDING)
    padded = F.pad(large, (PADDING,) * 4).permute(0, 2, 3, 1)
    windows = padded.unfold(1, KERNEL, STRIDE).unfold(2, KERNEL, STRIDE).permute(0, 1, 2, 4, 5, 3)
    small = windows.flatten(3).flatten(0, 2) @ weight.permute(2, 3, 1, 0).flatten(0, 2)
    return small.unflatten(0, windows.shape[:3]).permute(0, 3, 1, 2)


def _transposed(small: Tensor, weight: Tensor) -> Tensor:
    """Apply the transposed convolution, [B, D, H, W] to [B, C, 2 H, 2 W]; small maps use four matrix products.

    There is one product per phase (the results of one parity in y and x), which uses a 2x2 part of the kernel.
    """
    if not (HAS_AMX and _is_small(small)):
        return F.conv_transpose2d(small, weight, None, STRIDE, PADDING)
    batch, _, height, width = small.shape
    padded = F.pad(small, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    phases = []
    for y in range(STRIDE):
        for x in range(STRIDE):
            seen = [padded[:, y + i : y + i + height, x + j : x + j + width] for i in range(2) for j in range(2)]
            kernel = [weight[:, :, 3 - y - 2 * i, 3 - x - 2 * j] for i in range(2) for j in range(2)]
            phases.append(torch.cat(seen, -1).flatten(0, 2) @ torch.cat(kernel))
    large = torch.stack(phases).view(STRIDE, STRIDE, batch, height, width, -1)
    return large.permute(2, 3, 0, 4, 1, 5).reshape(batch, STRIDE * height, STRIDE * width, -1).permute(0, 3, 1, 2)


def _weight_gradient(large: Tensor, small: Tensor) -> Tensor:
    """Compute the weight gradient [D, C, 4, 4] from [B, C, 2 H, 2 W] and [B, D, H, W], a map and a gradient.

    dL/dw[d, c, i, j] = sum over b, y, x of small[b, d, y, x] * large[b, c, 2 y + i - 1, 2 x + j - 1].
    """
    if not _is_small(small):
        shape = (small.shape[1], large.shape[1], KERNEL, KERNEL)
        return conv2d_weight(large, shape, small, STRIDE, PADDING)
    height, width = (STRIDE * side for side in small.shape[2:])
    rows = F.pad(large, (PADDING,) * 4).permute(0, 2, 3, 1)
    columns = small.permute(0, 2, 3, 1).flatten(0, 2).t().contiguous()
    taps = [
        columns @ rows[:, i : i + height : STRIDE, j : j + width : STRIDE].reshape(-1, large.shape[1])
        for i in range(KERNEL)
        for j in range(KERNEL)
    ]
    return torch.stack(taps, 2).unflatten(2, (KERNEL, KERNEL))
