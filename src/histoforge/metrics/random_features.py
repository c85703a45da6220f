"""Features of a convolutional network with random weights (Naeem et al. 2020, section 4).

Random embeddings know nothing of the data, so that no training can blind them, and nothing of histology either.
Deviation: Naeem et al. use a VGG-16 for images of 224 px; this network is small and takes patches of 16 px and more.
"""

import torch
from torch import Tensor
from torch.nn import functional

from histoforge.core.seeds import numpy_rng

WIDTHS = (16, 32, 64)
SEED = 0


class RandomFeatures:
    """Extractor of three random 3 x 3 convolutions with ReLU and average pooling; its features are means of each map.

    The weights come from NumPy's generator and a fixed seed, so that they are the same on every machine. Each filter
    has a mean of zero from the second convolution on, and one of two in the first: those filters see edges only, and
    the others colours too.

    Attributes:
        name: 'random convolutions'.
    """

    name = "random convolutions"

    def __init__(self) -> None:
        rng = numpy_rng(SEED, "random convolutions")
        self._weights: list[Tensor] = []
        channels = 3
        for level, width in enumerate(WIDTHS):
            weight = torch.from_numpy(rng.standard_normal((width, channels, 3, 3))).float()
            edges = slice(0, None, 2) if level == 0 else slice(None)
            weight[edges] -= weight[edges].mean((1, 2, 3), keepdim=True)
            self._weights.append(weight * (2 / (9 * channels)) ** 0.5)
            channels = width

    def features(self, images: Tensor) -> Tensor:
        """Compute features [B, 112] of images float [-1, 1] [B, 3, H, W]."""
        maps, features = images.float(), []
        for weight in self._weights:
            maps = functional.relu(functional.conv2d(maps, weight.to(maps.device), padding=1))
            features.append(maps.mean((2, 3)))
            maps = functional.avg_pool2d(maps, 2)
        return torch.cat(features, 1)
