"""The contrastive loss of the MFT-SNN."""

import torch
from torch import Tensor

SMALLEST = 1e-12


def contrastive_loss(first: Tensor, second: Tensor, is_dissimilar: Tensor, margin: float) -> Tensor:
    """Return mean[(1 - y) d^2 + y max(0, m - d)^2] over pairs with the Euclidean distance d (section IV.C.1).

    A0-1: the paper also says "0=dissimilar" once. Here y = 1 is dissimilar, as in the formula and in three of four
    places. A0-5: embeddings have length 1 and no negative values, so d is at most sqrt(2). The margin m, which the
    paper does not give, is 1 by default: dissimilar pairs are pushed apart up to a cosine of 1/2.

    Args:
        first, second: embeddings, float32 [B, D].
        is_dissimilar: y, [B]: 0 or 1.
        margin: m.
    """
    squared = (first - second).square().sum(dim=1)
    distance = squared.clamp_min(SMALLEST).sqrt()
    y = is_dissimilar.to(squared.dtype)
    return torch.mean((1 - y) * squared + y * (margin - distance).clamp_min(0).square())
