"""Self-attention over the positions of a feature map (Zhang et al. 2019, SAGAN; Xue et al. 2021, eq. 2 and 3)."""

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Self-attention over all positions of an image, added to the input with a learned gate.

    alpha_ji = softmax_i(q(x_j) . k(x_i)),  o_j = sum_i alpha_ji v(x_i),  y_j = x_j + gate o_j

    q, k and v are 1x1 convolutions; q and k have an eighth of the channels. The gate starts at zero, so that the layer
    starts as the identity. Matrix products and the softmax are written out, because a gradient penalty differentiates
    them twice, which fused attention kernels do not support.

    Deviation A4-7: eq. 2 of Xue et al. writes s_ji = q(x_i) . k(x_j) and sums over i; this is SAGAN's form, in which
    row j of the map holds the weights of all positions i for the region j.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 8, 1)
        self.query = nn.Conv2d(channels, inner, 1, bias=False)
        self.key = nn.Conv2d(channels, inner, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to [B, C, H, W], keeping the shape."""
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output and the attention map.

        Args:
            x: [B, C, H, W].

        Returns:
            y [B, C, H, W], and alpha [B, N, N] with N = H W; each row sums to one.
        """
        query, key, value = (_positions(conv(x)) for conv in (self.query, self.key, self.value))  # [B, N, c]
        attention = torch.softmax(query @ key.transpose(1, 2), dim=2)  # [B, N, N]
        attended = (attention.to(value.dtype) @ value).transpose(1, 2).unflatten(2, x.shape[2:])  # [B, C, H, W]
        return x + self.gate.to(attended.dtype) * attended, attention


def _positions(features: Tensor) -> Tensor:
    """Reshape [B, c, H, W] to [B, H W, c]."""
    return features.flatten(2).transpose(1, 2)
