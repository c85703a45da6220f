"""Residual backbones whose last block can be run separately, and a registry of them by name."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from histoforge.core.errors import SettingsError
from histoforge.core.settings import nearest

Stem = Literal["imagenet", "small"]
StemChoice = Literal["auto", "imagenet", "small"]
SMALL_BELOW_PX = 64
STAGE_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Backbone:
    """A residual network of He et al. 2016: the type of its blocks and their number in each of its four stages."""

    block: type[BasicBlock] | type[Bottleneck]
    stages: tuple[int, int, int, int]


BACKBONES: dict[str, Backbone] = {
    "resnet10": Backbone(BasicBlock, (1, 1, 1, 1)),
    "resnet18": Backbone(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Backbone(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Backbone(Bottleneck, (3, 4, 6, 3)),
    "resnet101": Backbone(Bottleneck, (3, 4, 23, 3)),
    "resnet152": Backbone(Bottleneck, (3, 8, 36, 3)),
}


def check_backbone(name: str) -> None:
    """Check that a backbone of this name exists.

    Raises:
        SettingsError: it does not exist; the message suggests the nearest name.
    """
    if name not in BACKBONES:
        raise SettingsError(f"There is no backbone '{name}'{nearest(name, BACKBONES)}.")


def resolve_stem(stem: StemChoice, patch_size: tuple[int, int], pretrained: bool) -> Stem:
    """Resolve the stem 'auto'.

    'imagenet' (7x7 convolution of stride 2, then 3x3 max pooling of stride 2) divides height and width by 32 up to the
    last stage. 'small' (3x3 convolution of stride 1, no pooling) divides them by 8 at 16 times the computation. 'auto'
    is 'small' for patches of less than 64 px, of which 'imagenet' would leave only one or two positions. Otherwise, and
    always with pretrained weights, which were made for it, 'auto' is 'imagenet'.

    Args:
        patch_size: height and width, px.
    """
    if stem != "auto":
        return stem
    return "small" if min(patch_size) < SMALL_BELOW_PX and not pretrained else "imagenet"


class ResidualNetwork(nn.Module):
    """The convolutional part of a ResNet, with torchvision's parameter names, so that its weights fit.

    Attributes:
        stages: the four stages, lists of residual blocks.
        channels: number of channels of the last block's output.
    """

    def __init__(self, backbone: Backbone, stem: Stem, width: float) -> None:
        """Build the network with random weights (He initialisation).

        Args:
            backbone: the network.
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
        for number, (count, channels) in enumerate(zip(backbone.stages, planes, strict=True), start=1):
            stride = 1 if number == 1 else 2
            setattr(self, f"layer{number}", _stage(backbone.block, inputs, channels, count, stride))
            inputs = channels * backbone.block.expansion
        self.channels = inputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def stages(self) -> list[nn.Sequential]:
        """The four stages."""
        return [self.get_submodule(f"layer{number}") for number in (1, 2, 3, 4)]  # type: ignore[misc]

    def stem(self, images: Tensor) -> Tensor:
        """Compute the input of the first stage from images."""
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, planes: int, count: int, stride: int
) -> nn.Sequential:
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(inputs, planes, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, planes) for _ in range(count - 1)))
