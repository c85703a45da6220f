"""The mapping network (Karras et al. 2019, "A style-based generator architecture …", Fig. 1), conditional as in ADA."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.layers.equalized import GAIN, SLOPE, EqualizedLinear

RATE = 0.01
"""Factor on the learning rate of the mapping network (Karras et al. 2019, appendix C)."""
TINY = 1e-8


class MappingNetwork(nn.Module):
    """Maps noise and a class to a style, or a class alone to a vector.

    The embedding of the class is concatenated with z, after both were scaled to a mean square of 1.

    Args:
        z_dim: length of the noise; 0 for none.
        classes: number of classes.
        width: length of the embedding, of the hidden layers and of the result.
        layers: number of layers.
    """

    def __init__(self, z_dim: int, classes: int, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(classes, width))
        inputs = [z_dim + width] + [width] * (layers - 1)
        self.layers = nn.ModuleList(EqualizedLinear(length, width, rate=RATE, gain=GAIN) for length in inputs)

    def forward(self, labels: Tensor, z: Tensor | None = None) -> Tensor:
        """Map labels, int64 [B], and noise [B, z_dim] to float32 [B, width]; always computed in float32."""
        with torch.autocast(labels.device.type, enabled=False):
            x = _normalised(self.embedding[labels])
            if z is not None:
                x = torch.cat([_normalised(z), x], dim=1)
            for layer in self.layers:
                x = F.leaky_relu(layer(x), SLOPE)
            return x


def _normalised(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + TINY).rsqrt()
