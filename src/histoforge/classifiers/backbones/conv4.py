"""The four convolutions that few-shot learning uses (Vinyals et al. 2016). The dropout lies before the last one."""

from torch import Tensor, nn

from histoforge.classifiers.backbones.base import StagedBackbone
from histoforge.classifiers.backbones.registry import Stem

CHANNELS, BLOCKS = 64, 4


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "Conv4":
    """Build the network; it processes patches of 16 px and more."""
    return Conv4(max(8, round(width * CHANNELS / 8) * 8))


class Conv4(StagedBackbone):
    """Four blocks of a 3x3 convolution, batch normalisation, ReLU and 2x2 max pooling, which are also its stages.

    The features are averages over all positions; Vinyals et al. keep the positions, of which 28 px leave one.
    """

    def __init__(self, channels: int) -> None:
        """Build the network with random weights, with `channels` after each convolution."""
        super().__init__()
        inputs = (3, *(channels,) * (BLOCKS - 1))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(number, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            )
            for number in inputs
        )
        self.channels = channels

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The blocks, each a stage."""
        return [[block] for block in self.blocks]

    def stem(self, images: Tensor) -> Tensor:
        """Return the images: there is no stem."""
        return images
