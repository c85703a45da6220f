"""A selection rule, a metric and an encoder; imported when they are used."""

import numpy as np
from torch import Tensor, nn

from histoforge.classifiers.backbones.base import StagedBackbone


def uncertain(pool):
    """Keep the candidates of which the classifier is least sure."""
    return np.argsort(-pool.entropy, kind="stable")


def mean_shift(comparison):
    """Return the Euclidean distance between the mean features."""
    return float((comparison.real.mean(0) - comparison.fake.mean(0)).norm())


def build(name, patch_size, stem, width):
    """Build the encoder with random weights."""
    return TinyNet(round(32 * width))


class TinyNet(StagedBackbone):
    """Two convolutions after a stem."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 4, stride=4)
        self.blocks = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.channels = channels

    @property
    def stages(self) -> list[list[nn.Module]]:
        return [[self.blocks[0]], [self.blocks[1]]]

    def stem(self, images: Tensor) -> Tensor:
        return self.first(images)
