"""Class-conditional layer normalisation of each image separately."""

import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.layers.class_affine import ClassAffine


class ConditionalLayerNorm(nn.Module):
    """Layer normalisation whose scale and shift depend on the class of each image.

    y = gamma[label] (x - mean) / sqrt(var + eps) + beta[label], with the mean and variance of each image over channels
    and positions. Images do not depend on the rest of their batch, as a gradient penalty requires (deviation A4-2).

    Args:
        channels: number of channels C.
        classes: number of classes; 1 is plain layer normalisation.
    """

    def __init__(self, channels: int, classes: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.affine = ClassAffine(channels, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Normalise x [B, C, H, W] for labels, int64 [B]."""
        last = x.permute(0, 2, 3, 1)  # [B, H, W, C], which is how channels_last lies in memory
        return self.affine(F.layer_norm(last, last.shape[1:], eps=self.eps).permute(0, 3, 1, 2), labels)
