"""ConvNeXts (Liu et al. 2022). The dropout lies before the last block."""

from torch import Tensor, nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.convnext import ConvNeXt as TorchvisionConvNeXt

from histoforge.classifiers.backbones.base import StagedBackbone
from histoforge.classifiers.backbones.registry import Stem

STAGE_CHANNELS = (96, 192, 384, 768)
STAGE_BLOCKS = {"convnext_tiny": (3, 3, 9, 3)}
STOCHASTIC_DEPTH = {"convnext_tiny": 0.1}


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "ConvNeXt":
    """Build the network; it processes patches of 32 px and more."""
    return ConvNeXt(STAGE_BLOCKS[name], STOCHASTIC_DEPTH[name], width)


class ConvNeXt(StagedBackbone):
    """A ConvNeXt without its classification layer, with torchvision's parameter names.

    Stochastic depth is active in training alone, as published.
    """

    def __init__(self, counts: tuple[int, int, int, int], stochastic_depth: float, width: float) -> None:
        """Build the network with random weights.

        Args:
            counts: number of blocks in each stage.
            stochastic_depth: probability with which training skips the last block; it grows linearly up to there.
            width: factor on all numbers of channels.
        """
        super().__init__()
        channels = [max(8, round(width * number / 8) * 8) for number in STAGE_CHANNELS]
        settings = [
            CNBlockConfig(inputs, outputs, count)
            for inputs, outputs, count in zip(channels, [*channels[1:], None], counts, strict=True)
        ]
        network = TorchvisionConvNeXt(settings, stochastic_depth)
        self.features = network.features
        self.classifier = network.classifier[:1]  # the normalisation of the pooled features
        self.channels = channels[-1]

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The four stages of blocks; the layers between them halve the height and the width."""
        return [list(self.features[number].children()) for number in (1, 3, 5, 7)]

    def stem(self, images: Tensor) -> Tensor:
        """Compute the input of the first stage from normalised images."""
        output: Tensor = self.features[0](images)
        return output

    def enter_stage(self, stage: int, hidden: Tensor) -> Tensor:
        """Run the layer that precedes a stage and halves the height and the width."""
        return self.features[2 * stage](hidden) if stage else hidden

    def pool(self, hidden: Tensor) -> Tensor:
        """Average over all positions and normalise."""
        features: Tensor = self.classifier(hidden.float().mean(dim=(2, 3), keepdim=True))
        return features.float().flatten(1)
