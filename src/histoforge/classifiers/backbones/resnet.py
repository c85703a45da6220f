"""ResNets (He et al. 2016), also with attention (Woo et al. 2018). The dropout lies before the last block (A4-9)."""

import re

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from histoforge.classifiers.backbones.base import StagedBackbone
from histoforge.classifiers.backbones.registry import Stem
from histoforge.layers.cbam import CBAM


class CBAMBottleneck(Bottleneck):
    """A bottleneck block with attention on its residual branch (Woo et al. 2018, Fig. 3)."""

    def __init__(self, inputs: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        """Build the block with random weights; the arguments are those of torchvision's `Bottleneck`."""
        super().__init__(inputs, planes, stride, downsample)
        self.cbam = CBAM(planes * self.expansion)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block on [B, inputs, H, W]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        output: Tensor = self.relu(self.cbam(self.bn3(self.conv3(residual))) + shortcut)
        return output


Block = type[BasicBlock] | type[Bottleneck]
STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_BLOCKS: dict[str, tuple[Block, tuple[int, int, int, int]]] = {
    "resnet10": (BasicBlock, (1, 1, 1, 1)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet50_cbam": (CBAMBottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}
"""Type of the blocks and their number in each of the four stages."""
CBAM_NAMES = {
    "ChannelGate.mlp.1": "mlp.0",
    "ChannelGate.mlp.3": "mlp.2",
    "SpatialGate.spatial.conv": "conv",
    "SpatialGate.spatial.bn": "norm",
}
"""Names of layers of `CBAM`, by those in the weights that the authors of CBAM published."""


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "ResNet":
    """Build the network; it processes patches of any size."""
    block, counts = STAGE_BLOCKS[name]
    return ResNet(block, counts, stem, width)


class ResNet(StagedBackbone):
    """The convolutional part of a ResNet, with torchvision's parameter names."""

    def __init__(self, block: Block, counts: tuple[int, int, int, int], stem: Stem, width: float) -> None:
        """Build the network with random weights (He initialisation).

        Args:
            block: type of the blocks.
            counts: number of blocks in each stage.
            stem: 'imagenet' or 'small'.
            width: factor on all numbers of channels (1 is the published network).
        """
        super().__init__()
        planes = [max(8, round(width * channels / 8) * 8) for channels in STAGE_CHANNELS]
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(3, planes[0], 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(3, planes[0], 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(planes[0])
        self.relu = nn.ReLU(inplace=True)
        inputs = planes[0]
        for number, (count, channels) in enumerate(zip(counts, planes, strict=True), start=1):
            stride = 1 if number == 1 else 2
            setattr(self, f"layer{number}", _stage(block, inputs, channels, count, stride))
            inputs = channels * block.expansion
        self.channels = inputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> list[list[nn.Module]]:
        """The four stages of residual blocks."""
        return [list(self.get_submodule(f"layer{number}").children()) for number in (1, 2, 3, 4)]

    def stem(self, images: Tensor) -> Tensor:
        """Compute the input of the first stage from normalised images."""
        output: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return output

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights under this network's names, which differ for CBAM."""
        published = re.compile("|".join(map(re.escape, CBAM_NAMES)))
        return {
            published.sub(lambda match: CBAM_NAMES[match[0]], name.removeprefix("module.")): tensor
            for name, tensor in weights.items()
        }


def _stage(block: Block, inputs: int, planes: int, count: int, stride: int) -> nn.Sequential:
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(inputs, planes, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, planes) for _ in range(count - 1)))
