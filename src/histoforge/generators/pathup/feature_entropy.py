"""The feature entropy loss of PathUp (section 3.2, eq. 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.training.processes import mean, world_size


class FeatureMemory(nn.Module):
    """One anchor per condition: a moving average of the features of its images.

    Attributes:
        anchors: k of eq. 3, of length 1, float32 [conditions, D].
    """

    anchors: Tensor

    def __init__(self, conditions: int, dimensions: int, rng: torch.Generator) -> None:
        """Draw random anchors (section 4.2)."""
        super().__init__()
        anchors = torch.randn(conditions, dimensions, generator=rng, device=rng.device)
        self.register_buffer("anchors", F.normalize(anchors, dim=1))

    def loss(self, features: Tensor, conditions: Tensor, weights: Tensor, temperature: float) -> Tensor:
        """Return L_e, the cross entropy between each feature's similarities to the anchors and its own condition.

        A3-3: the sum of eq. 3 goes over all anchors, the positive one included.

        Args:
            features: z, of length 1, float32 [B, D].
            conditions: int64 [B].
            weights: weight of each image, [B]; 0 leaves it out, such as one whose condition was dropped.
            temperature: tau.
        """
        losses = F.cross_entropy(features @ self.anchors.T / temperature, conditions, reduction="none")
        return (losses * weights).sum() / weights.sum().clamp(min=1e-8)

    @torch.no_grad()
    def update(self, features: Tensor, conditions: Tensor, kept: Tensor, decay: float) -> None:
        """Move each anchor towards the mean feature of its images in the batch, over all processes.

        A3-4: the printed update contains no feature. Here k_c <- normalise(decay k_c + (1 - decay) mean of z of c), and
        an anchor without images in the batch stays as it is.

        Args:
            features: z, of length 1, float32 [B, D].
            conditions: int64 [B].
            kept: whether an image counts, bool [B].
            decay: alpha.
        """
        members = F.one_hot(conditions, len(self.anchors)).float() * kept[:, None]
        sums = mean(members.T @ features.float()) * world_size()
        counts = mean(members.sum(0)) * world_size()
        means = sums / counts.clamp(min=1)[:, None]
        moved = F.normalize(decay * self.anchors + (1 - decay) * means, dim=1)
        self.anchors.copy_(torch.where(counts[:, None] > 0, moved, self.anchors))
