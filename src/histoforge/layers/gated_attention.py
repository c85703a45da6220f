"""Gated attention over the instances of a bag (Ilse et al. 2018, "Attention-based Deep Multiple Instance Learning")."""

import torch
from torch import Tensor, nn

HIDDEN = 128
"""L, the length of the hidden vectors, as in the authors' code."""


class GatedAttention(nn.Module):
    """The weights of a bag's instances, which do not depend on their order (Ilse et al. 2018, eq. 9).

    a_k = softmax_k(w^T (tanh(V h_k) * sigmoid(U h_k)))

    Each branch has a w of its own; V and U are common to all.
    """

    def __init__(self, channels: int, branches: int = 1) -> None:
        """Build the layer with random weights.

        Args:
            channels: length of an instance's embedding h_k.
            branches: number of vectors w, each of which weighs the instances in its own way.
        """
        super().__init__()
        self.V = nn.Linear(channels, HIDDEN, bias=False)
        self.U = nn.Linear(channels, HIDDEN, bias=False)
        self.w = nn.Linear(HIDDEN, branches, bias=False)

    def forward(self, instances: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Compute the weights, float32 [B, branches, K], which sum to 1 over the K instances of a bag.

        Args:
            instances: embeddings, float [B, K, channels].
            left_out: bool [B, K], True for instances whose weight is 0; a bag without any others keeps them all.
        """
        scores = self.w(torch.tanh(self.V(instances)) * torch.sigmoid(self.U(instances))).float().transpose(1, 2)
        if left_out is not None:
            left_out = left_out & ~left_out.all(1, keepdim=True)
            scores = scores.masked_fill(left_out[:, None], -torch.inf)
        return scores.softmax(2)
