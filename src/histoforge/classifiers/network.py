"""The classifier: a backbone, a Monte Carlo dropout before its tail, and a classification layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.classifiers.backbones.base import Layers, Trunk, rgb_scaling
from histoforge.classifiers.backbones.registry import find_backbone, input_size
from histoforge.classifiers.freezing import freeze_all_but
from histoforge.patches import PatchSet
from histoforge.patches.matching import PatchFormat, check_same_fold, check_same_format
from histoforge.training.model_files import ModelInfo


@dataclass
class Tail:
    """The network's outputs after the dropout.

    Attributes:
        map: activation after the last block, [B, C_L, H_L, W_L].
        features: pooled activations, [B, D], float32; the hidden layer of the head comes after them.
        logits: [B, classes], float32.
    """

    map: Tensor
    features: Tensor
    logits: Tensor


class Classifier(nn.Module):
    """A backbone with one dropout layer between its trunk and its tail, and a classification layer.

    Xue et al. 2021, section 4.2.2: "A dropout layer of rate 0.5 is inserted before the last residual block right above
    the fully-connected layer". A4-9: in a ResNet34 the dropout therefore lies between layer4[1] and layer4[2]; the
    modules of the other backbones say where it lies in them. In Monte Carlo passes, batch normalisation stays in
    evaluation mode and only the dropout is active. Everything before it, the trunk, is then the same in each pass: it
    is computed once and only the tail runs K times, which is exact.

    Images are float [B, 3, H, W] in [-1, 1]. A network that started from published weights converts them to the mean
    and standard deviation that these weights expect.

    Attributes:
        info: the model's description; the backbone is its `method`, and `config` contains stem, width, dropout,
            imagenet_normalisation and, where they are not 0, head_width, trainable_layers and input_size.
        input_size: height and width of the backbone's input, px.
        resizes: True if images are resized to it.
        frozen: the modules that do not train; see `freeze_all_but`.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, info: ModelInfo) -> None:
        """Build the network with random weights.

        Raises:
            SettingsError: the backbone does not exist (the message suggests the nearest name), cannot process patches
                of this size, or has fewer layers than are to train.
        """
        super().__init__()
        self.info = info
        self.resizes = bool(info.config.get("input_size"))
        self.input_size = input_size(info.patch_size, info.config.get("input_size", 0))
        self.backbone = find_backbone(info.method).build(info.method, self.input_size, info.config)
        self.dropout = nn.Dropout(info.config["dropout"])
        self.head, width = _head(self.backbone.channels, info.config.get("head_width", 0))
        self.fc = nn.Linear(width, len(info.classes))
        normalise = info.config["imagenet_normalisation"]
        mean, std = (self.backbone.mean, self.backbone.std) if normalise else ((0.5,) * 3, (0.5,) * 3)
        scale, shift = rgb_scaling(mean, std)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.frozen = freeze_all_but(self.backbone, info.config.get("trainable_layers", 0))

    def check_fold(self, patches: PatchSet) -> None:
        """Check that it was not trained on another fold of `patches` than the one that they were opened for.

        Raises:
            ModelError: it was, and has seen test patients of this fold.
        """
        fold = self.info.config.get("fold", -1)
        check_same_fold(f"The classifier {self.name}", self.info.digests.get("patches", ""), fold, patches)

    def train(self, mode: bool = True) -> "Classifier":
        """Set the training mode, but keep frozen layers in evaluation mode so that their statistics stay fixed."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    @property
    def name(self) -> str:
        """The extractor's name in results: backbone, arm, seed and the first digits of the model's digest."""
        seed, arm = self.info.training.get("seed"), self.info.training.get("arm")
        trained = f" ({arm}, seed {seed})" if arm is not None else ""
        return f"{self.info.method}{trained} {self.info.digest[:8]}".strip()

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, float32 [B, classes], of images in [-1, 1], [B, 3, H, W]."""
        return self.tail(self.trunk(images).hidden).logits

    def features(self, images: Tensor) -> Tensor:
        """Compute pooled activations before the last layer, float32 [B, D], of images in [-1, 1], [B, 3, H, W]."""
        return self.tail(self.trunk(images).hidden).features

    def trunk(self, images: Tensor, layers: Layers = "stages") -> Trunk:
        """Run everything that precedes the dropout.

        Args:
            images: float [B, 3, H, W] in [-1, 1].
            layers: 'stages' or 'blocks': the unit after each of which `maps` has an activation.
        """
        if self.resizes:
            images = F.interpolate(images, self.input_size, mode="bilinear", antialias=True)
        return self.backbone.trunk(images * self.scale + self.shift, layers)

    def tail(self, hidden: Tensor, mask: Tensor | None = None) -> Tail:
        """Run the dropout, the backbone's tail and the classification layer.

        Args:
            hidden: `Trunk.hidden`.
            mask: factors for `hidden`, of its shape, that replace the dropout layer's random mask: 0 or 1/(1-p).
        """
        hidden = self.dropout(hidden) if mask is None else hidden * mask.to(hidden.dtype)
        last, features = self.backbone.tail(hidden)
        with torch.autocast(features.device.type, enabled=False):
            return Tail(last, features, self.fc(self.head(features)))

    def mc_dropout(self, active: bool) -> None:
        """Put the network in evaluation mode; if `active`, the dropout draws a new mask in each pass."""
        self.eval()
        self.dropout.train(active)

    def check_fits(self, classes: list[str], patch_size: tuple[int, int], name: str) -> None:
        """Check that the network was trained on these classes and this patch size.

        Args:
            classes: class names in the order of the labels.
            patch_size: height and width, px.
            name: name of the patches in the message.

        Raises:
            ModelError: the network was trained on other classes or another patch size.
        """
        subject, advice = f"The classifier {self.name} was trained on", "train a classifier on that patch set"
        check_same_format(subject, self.info, name, PatchFormat(classes, patch_size), advice)


def _head(features: int, width: int) -> tuple[nn.Module, int]:
    """Return the optional layer between the pooled features and the classification layer, and its output width."""
    if not width:
        return nn.Identity(), features
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(inplace=True)), width
