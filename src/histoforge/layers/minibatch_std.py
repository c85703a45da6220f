"""The standard deviation of a batch as a further map (Karras et al. 2018, section 3)."""

import torch
from torch import Tensor, nn

TINY = 1e-8


class MinibatchStd(nn.Module):
    """Append one map to each image: how much the images of its group differ, so that a critic sees a lack of variety.

    The standard deviation of each value over a group of images, averaged over channels and positions, is one number
    for the whole group. Computed in float32 at any precision. With several processes, each has groups of its own.

    Args:
        group: maximum number of images of a group. Groups are consecutive images; their size is the largest that
            divides the batch.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C + 1, H, W]."""
        size = next(size for size in range(min(self.group, len(x)), 0, -1) if len(x) % size == 0)
        variance = x.float().unflatten(0, (-1, size)).var(dim=1, correction=0)  # [groups, C, H, W]
        deviation = (variance + TINY).sqrt().mean((1, 2, 3)).repeat_interleave(size)
        column = deviation.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])
        return torch.cat([x, column], dim=1)
