"""The normalisations that a critic may have, by name."""

from typing import Literal

from torch import Tensor, nn

from histoforge.layers.conditional_batch_norm import ConditionalBatchNorm
from histoforge.layers.conditional_layer_norm import ConditionalLayerNorm

CriticNorm = Literal["cbn", "cln", "none"]


class NoNorm(nn.Module):
    """Leaves the features as they are, whatever the label."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """x."""
        return x


def critic_norm(name: CriticNorm, channels: int, classes: int) -> nn.Module:
    """A normalisation called with (features [B, C, H, W], labels [B]).

    Deviation A4-2: Xue et al. use conditional batch normalisation ('cbn'), which makes each score depend on the whole
    batch, while a gradient penalty presumes that it depends on its own image; 'cln' keeps images apart.
    """
    if name == "cbn":
        return ConditionalBatchNorm(channels, classes, running=False)
    return ConditionalLayerNorm(channels, classes) if name == "cln" else NoNorm()
