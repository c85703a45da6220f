"""Spectral normalisation (Miyato et al. 2018): divide a weight by its largest singular value."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize


def spectral_norm(module: nn.Conv2d) -> nn.Conv2d:
    """Divide the weight of a convolution by its spectral norm in place, and return the layer.

    Unlike `torch.nn.utils.parametrizations.spectral_norm`, this always computes in float32: under bfloat16 autocast,
    torch's version would run its power iteration with three digits.
    """
    parametrize.register_parametrization(module, "weight", _SpectralNorm(module.weight))
    return module


class _SpectralNorm(nn.Module):
    """Compute w / sigma(w), with one step of power iteration for sigma per forward pass in training mode."""

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor, warm_up: int = 15) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.register_buffer("u", F.normalize(torch.randn(rows), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(columns), dim=0))
        self._iterate(weight.detach().flatten(1), warm_up)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the normalised weight, which has the same shape."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix.detach(), 1)
            sigma = torch.dot(self.u.clone(), matrix @ self.v.clone())
            return weight / sigma

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, steps: int) -> None:
        for _ in range(steps):
            self.u.copy_(F.normalize(matrix @ self.v, dim=0))
            self.v.copy_(F.normalize(matrix.T @ self.u, dim=0))
