"""Features of a convolutional network with random weights (Naeem et al. 2020).

Random embeddings know nothing of the data, so that no training can blind them, and nothing of histology either.
Deviation: Naeem et al. use a VGG-16 for images of 224 px; this network is small and takes patches of 16 px and more.
"""

import torch
from torch import Tensor
from torch.nn import functional

from histoforge.core.seeds import numpy_rng

WIDTHS = (16, 32, 64)
SEED = 0
COLOUR_RESPONSE = 0.1


class RandomFeatures:
    """Extractor of three random 3 x 3 convolutions with ReLU and average pooling; its features are means of each map.

    The weights come from NumPy's generator and a fixed seed, so that they are the same on every machine. The filters
    have a mean of zero, because colours outweigh all structure otherwise; in the first convolution a tenth of the mean
    is left, which lets colours count as well.

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
            if level == 0:
                weight -= (1 - COLOUR_RESPONSE) * weight.mean((2, 3), keepdim=True)
            else:
                weight -= weight.mean((1, 2, 3), keepdim=True)
            self._weights.append(weight * (2 / (9 * channels)) ** 0.5)
            channels = width

    def features(self, images: Tensor) -> Tensor:
        """Compute features [B, 112] of images float [-1, 1] [B, 3, H, W]."""
        maps, features = images.float(), []
        for weight in self._weights:
            padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate")
            maps = functional.relu(functional.conv2d(padded, weight.to(maps.device)))
            features.append(maps.mean((2, 3)))
            maps = functional.avg_pool2d(maps, 2)
        return torch.cat(features, 1)
