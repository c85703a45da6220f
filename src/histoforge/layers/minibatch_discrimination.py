"""Minibatch discrimination (Salimans et al. 2016, section 3.2): lets a critic see whether a batch lacks variety."""

import torch
from torch import Tensor, nn

from histoforge.training.processes import gather_rows


class MinibatchDiscrimination(nn.Module):
    """Append to each sample's features its closeness to the rest of the batch.

    M_i = f_i T in R^{kernels x dims},  o_ib = sum_{j != i} exp(-||M_ib - M_jb||_1)

    Deviation A4-5: Xue et al. give no dimensions; 64 kernels of 16 dims are the defaults. The distances are computed
    in float32 at any precision. The sum omits j = i, a constant 1, as in Salimans' own code. A4-2: a gradient penalty
    concerns the gradient of each score with respect to its own image, so the other samples are constants there.

    Args:
        features: length of f.
        kernels: number of distances to append, B in the paper.
        dims: number of dimensions of each distance, C in the paper.
    """

    def __init__(self, features: int, kernels: int = 64, dims: int = 16) -> None:
        super().__init__()
        self.kernels, self.dims = kernels, dims
        self.projection = nn.Linear(features, kernels * dims, bias=False)

    def forward(self, f: Tensor, detach_others: bool = False) -> Tensor:
        """Map [B, features] to [B, features + kernels].

        Args:
            f: features of a batch.
            detach_others: True blocks gradients from a sample's output to the features of other samples.
        """
        m = self.projection(f).float().unflatten(1, (self.kernels, self.dims))  # [B, kernels, dims]
        batch_m = gather_rows(m.detach() if detach_others else m)
        distance = (m[:, None] - batch_m[None]).abs().sum(3)  # [B, B, kernels], over the whole batch
        closeness = torch.exp(-distance).sum(1) - 1.0
        return torch.cat([f, closeness.to(f.dtype)], dim=1)
