"""Noise from a truncated normal distribution (Li et al., section III.D and Algorithm 2)."""

import math

import torch
from torch import Tensor


def truncated(normal: Tensor, bound: float) -> Tensor:
    """Map standard normal noise to a standard normal distribution that is truncated to [-bound, bound].

    z = Phi^-1(Phi(-bound) + (2 Phi(bound) - 1) Phi(normal)), which has that distribution and keeps the order of the
    values, so that one latent space serves for drawing and for path lengths. A2-6: training and drawing use the same
    bound.

    Args:
        normal: standard normal, float32, any shape.
        bound: tau in the paper; 0 returns the noise unchanged.
    """
    if not bound:
        return normal
    inside = math.erf(bound / math.sqrt(2))  # 2 Phi(bound) - 1
    return (torch.erfinv(inside * torch.erf(normal / math.sqrt(2))) * math.sqrt(2)).clamp(-bound, bound)
