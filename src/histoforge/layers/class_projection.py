"""The class projection of the unified ViT cGAN: layer normalisation conditioned on the class and on noise."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ClassProjection(nn.Module):
    """Normalise each token, then scale and shift it by linear functions of the class and a part of the noise.

    y = (x - mean) / sqrt(var + eps) * (1 + gamma) + beta with gamma = W_gamma^T [c, z], beta = W_beta^T [c, z] (eq. 1
    of the unified framework of Li et al.). A2-9: the equation has no "1 +"; with it, and weights that start at zero,
    the layer starts as plain layer normalisation.

    Args:
        channels: length C of a token.
        condition: length of [c, z].
    """

    def __init__(self, channels: int, condition: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels, self.eps = channels, eps
        self.affine = nn.Linear(condition, 2 * channels, bias=False)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Normalise tokens [B, N, C] for [c, z], [B, condition]."""
        gamma, beta = self.affine(condition)[:, None].chunk(2, dim=2)  # [B, 1, C] each
        normalised = F.layer_norm(tokens, (self.channels,), eps=self.eps)
        return torch.addcmul(beta, normalised, 1 + gamma)

    def reset(self) -> None:
        """Start as plain layer normalisation."""
        nn.init.zeros_(self.affine.weight)
