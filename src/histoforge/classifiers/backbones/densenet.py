"""DenseNets (Huang et al. 2017). The dropout lies before the last dense layer, on all channels that it sees."""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.densenet import DenseNet as TorchvisionDenseNet

from histoforge.classifiers.backbones.base import StagedBackbone
from histoforge.classifiers.backbones.registry import Stem

GROWTH_RATE = 32
BLOCK_LAYERS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32)}


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "DenseNet":
    """Build the network; it processes patches of 32 px and more."""
    return DenseNet(BLOCK_LAYERS[name], width)


class DenseNet(StagedBackbone):
    """The convolutional part of a DenseNet, with torchvision's parameter names.

    A stage is a dense block, and a block is a dense layer together with the concatenation of its output.
    """

    def __init__(self, layers: tuple[int, int, int, int], width: float) -> None:
        """Build the network with random weights.

        Args:
            layers: number of dense layers in each dense block.
            width: factor on the growth rate and on the channels of the stem.
        """
        super().__init__()
        growth_rate = max(4, round(width * GROWTH_RATE / 4) * 4)
        network = TorchvisionDenseNet(growth_rate, layers, num_init_features=2 * growth_rate)
        self.features = network.features
        self.channels = network.classifier.in_features

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The dense layers of the four dense blocks."""
        return [list(self.get_submodule(f"features.denseblock{number}").children()) for number in (1, 2, 3, 4)]

    def stem(self, images: Tensor) -> Tensor:
        """Compute the input of the first dense block from normalised images."""
        for name in ("conv0", "norm0", "relu0", "pool0"):
            images = self.get_submodule(f"features.{name}")(images)
        return images

    def enter_stage(self, stage: int, hidden: Tensor) -> Tensor:
        """Run the transition that precedes a dense block."""
        return self.get_submodule(f"features.transition{stage}")(hidden) if stage else hidden

    def run_block(self, block: nn.Module, hidden: Tensor) -> Tensor:
        """Run a dense layer and append its output to its input."""
        return torch.cat([hidden, block(hidden)], 1)

    def pool(self, hidden: Tensor) -> Tensor:
        """Normalise the output of the last dense block and average it over all positions."""
        return F.relu(self.get_submodule("features.norm5")(hidden)).float().mean(dim=(2, 3))

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights under today's names: the files of torchvision say 'norm.1' instead of 'norm1'."""
        return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name): w for name, w in weights.items()}
