"""Normalisations for critics, by name."""

from typing import Literal

from torch import Tensor, nn

from histoforge.layers.conditional_batch_norm import ConditionalBatchNorm
from histoforge.layers.conditional_layer_norm import ConditionalLayerNorm

CriticNorm = Literal["cbn", "cln", "none"]


class NoNorm(nn.Module):
    """Return the features unchanged, regardless of the label."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return x."""
        return x


def critic_norm(name: CriticNorm, channels: int, classes: int) -> nn.Module:
    """Return a normalisation that is called with (features [B, C, H, W], labels [B]).

    Deviation A4-2: Xue et al. use conditional batch normalisation ('cbn'), which makes each score depend on the whole
    batch, while a gradient penalty assumes that it depends only on its own image; 'cln' normalises images separately.
    """
    if name == "cbn":
        return ConditionalBatchNorm(channels, classes, running=False)
    return ConditionalLayerNorm(channels, classes) if name == "cln" else NoNorm()
