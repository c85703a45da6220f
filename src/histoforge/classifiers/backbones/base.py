"""The interface of all backbones: a trunk, a Monte Carlo dropout, and a tail."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

Layers = Literal["stages", "blocks"]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass
class Trunk:
    """The network's outputs before the dropout, which are the same in each Monte Carlo pass.

    Attributes:
        maps: activations after the stages (or blocks) that precede the dropout, each [B, C_l, H_l, W_l].
        hidden: input of the dropout, [B, C, H, W] or, for a transformer, [B, tokens, C].
    """

    maps: list[Tensor]
    hidden: Tensor


class Backbone(nn.Module, ABC):
    """A network without classification layer, in two parts: the trunk before the Monte Carlo dropout and the tail.

    The dropout itself belongs to the classifier. Parameters have the names of the library that publishes the weights,
    and modules are registered in the order in which they run, which `freeze_all_but` relies on.

    Attributes:
        channels: number of features.
        mean, std: statistics of the RGB values, in [0, 1], that published weights expect.
        weighted_layers: types of the layers that `trainable_layers` counts.
    """

    channels: int
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    weighted_layers: ClassVar[tuple[type[nn.Module], ...]] = (nn.Conv2d, nn.Linear)

    @abstractmethod
    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Run everything that precedes the dropout.

        Args:
            images: normalised images, float [B, 3, H, W].
            layers: 'stages' or 'blocks': the unit after each of which `maps` has an activation.
        """

    @abstractmethod
    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run everything that follows the dropout.

        Args:
            hidden: output of the dropout, of the shape of `Trunk.hidden`.

        Returns:
            The last activation, [B, C_L, H_L, W_L], and the features, [B, channels], float32.
        """

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights under this network's names and with its number of positions."""
        return weights


def rgb_scaling(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Return factor and offset, [1, 3, 1, 1], that give RGB values in [-1, 1] the scale of published weights.

    x becomes ((x + 1) / 2 - mean) / std: itself for a mean and standard deviation of 1/2.

    Args:
        mean, std: statistics of values in [0, 1], by channel.
    """
    centre, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return 0.5 / spread, (0.5 - centre) / spread


class StagedBackbone(Backbone):
    """A backbone of stages of blocks that run one after the other; the dropout lies before the last block."""

    @property
    @abstractmethod
    def stages(self) -> list[list[nn.Module]]:
        """The stages, each with its blocks."""

    @abstractmethod
    def stem(self, images: Tensor) -> Tensor:
        """Compute the input of the first stage from normalised images."""

    def enter_stage(self, stage: int, hidden: Tensor) -> Tensor:
        """Compute the input of the first block of a stage, numbered from 0, from the stem's or last stage's output."""
        return hidden

    def run_block(self, block: nn.Module, hidden: Tensor) -> Tensor:
        """Run a block."""
        output: Tensor = block(hidden)
        return output

    def feature_map(self, hidden: Tensor) -> Tensor:
        """Arrange the output of a block as [B, C, H, W]."""
        return hidden

    def pool(self, hidden: Tensor) -> Tensor:
        """Compute the features, float32 [B, channels], from the output of the last block."""
        return hidden.float().mean(dim=(2, 3))

    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Run the stem and all blocks but the last."""
        hidden, maps = self.stem(images), []
        *earlier, last = self.stages
        for number, stage in enumerate((*earlier, last[:-1])):
            hidden = self.enter_stage(number, hidden)
            for block in stage:
                hidden = self.run_block(block, hidden)
                if layers == "blocks":
                    maps.append(self.feature_map(hidden))
            if layers == "stages" and len(maps) < len(earlier):
                maps.append(self.feature_map(hidden))
        return Trunk(maps, hidden)

    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run the last block and the pooling."""
        hidden = self.run_block(self.stages[-1][-1], hidden)
        return self.feature_map(hidden), self.pool(hidden)
