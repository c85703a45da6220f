"""Multi-head self-attention over tokens, in windows of a map or over all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Grid = tuple[int, int]
"""Rows and columns of a map of tokens."""


class TokenAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).

    Given a window, the tokens are a map whose non-overlapping windows attend within themselves only: the grid
    self-attention of TransGAN (Jiang et al. 2021, section 3.3).

    torch's fused kernels have no second derivative. Where a gradient penalty needs one, run the layer within
    `twice_differentiable()`.

    Args:
        channels: length of a token, a multiple of `heads`.
        heads: number of attention heads.
        grid: rows and columns of the map; None if the tokens are not a map, or all of them attend to each other.
        window: rows and columns of a window, divisors of those of the map.
    """

    def __init__(self, channels: int, heads: int, grid: Grid | None = None, window: Grid | None = None) -> None:
        super().__init__()
        self.heads, self.grid = heads, grid
        self.window = None if window == grid else window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, N, C] to [B, N, C]."""
        windows = tokens if self.window is None else _split(tokens, self.grid, self.window)
        query, key, value = self.qkv(windows).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = self.out(_attend(query, key, value).transpose(1, 2).flatten(2))
        return attended if self.window is None else _join(attended, self.grid, self.window)


_EXPLICIT: ContextVar[bool] = ContextVar("explicit_attention", default=False)


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Make attention use matrix products and a softmax, which can be differentiated any number of times.

    A2-12: fused attention has no second derivative, which a gradient penalty needs. torch's own form of this
    (`SDPBackend.MATH`) gives the same values and also masks rows without keys, which takes four more passes over the
    weights.
    """
    token = _EXPLICIT.set(True)
    try:
        yield
    finally:
        _EXPLICIT.reset(token)


CACHED_WEIGHTS = 2**20
"""Number of attention weights that are computed at a time, so that they stay in a processor's cache."""


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute softmax(q k^T / sqrt(d)) v of [B, heads, N, d]."""
    if not (_EXPLICIT.get() or _fused_is_slower(query)):
        return F.scaled_dot_product_attention(query, key, value)
    pairs = max(CACHED_WEIGHTS // query.shape[2] ** 2, 1)  # of an image and a head
    parts = zip(*(tensor.flatten(0, 1).split(pairs) for tensor in (query, key, value)), strict=True)
    with torch.autocast(query.device.type, enabled=False):  # autocast would compute the weights in float32
        attended = torch.cat([_written_out(*part) for part in parts])
    return attended.unflatten(0, query.shape[:2])


def _written_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute softmax(q k^T / sqrt(d)) v of [P, N, d] by operations that can be differentiated any number of times."""
    return torch.softmax(query * query.shape[2] ** -0.5 @ key.transpose(1, 2), dim=2) @ value


def _fused_is_slower(query: Tensor) -> bool:
    """Test for short rows in bfloat16 on a processor, where torch's fused kernel computes the softmax in float32."""
    return query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.shape[2] ** 2 <= CACHED_WEIGHTS


def largest_window(side: int, limit: int) -> int:
    """Return the largest divisor of a side of the map that is at most `limit`.

    A2-7: the paper's window of 32 does not divide the map of 48x48 that its patches of 96 px have; TransGAN's code has
    maps that its windows divide.
    """
    return max(size for size in range(1, min(side, limit) + 1) if side % size == 0)


def _split(tokens: Tensor, grid: Grid | None, window: Grid) -> Tensor:
    """Cut maps [B, H W, C] into windows [B n, h w, C]."""
    assert grid is not None, "windows need a map"
    (rows, columns), (height, width) = grid, window
    cut = tokens.unflatten(1, (rows // height, height, columns // width, width))  # [B, n_h, h, n_w, w, C]
    return cut.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def _join(windows: Tensor, grid: Grid | None, window: Grid) -> Tensor:
    """Put windows [B n, h w, C] together again, the inverse of `_split`."""
    assert grid is not None, "windows need a map"
    (rows, columns), (height, width) = grid, window
    cut = windows.unflatten(1, window).unflatten(0, (-1, rows // height, columns // width))  # [B, n_h, n_w, h, w, C]
    return cut.transpose(2, 3).flatten(1, 4)
