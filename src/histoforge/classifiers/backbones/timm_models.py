"""Any model of the library timm, by name. Nothing is downloaded: weights come from a file that the user names.

The dropout lies before the pooling: the models of timm have no common interface for single blocks.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import timm
import torch
from torch import Tensor

from histoforge.classifiers.backbones.base import Backbone, Layers, Trunk
from histoforge.classifiers.backbones.registry import Stem
from histoforge.core.errors import SettingsError
from histoforge.core.settings import nearest
from histoforge.core.text import dimensions

PREFIX = "timm:"
STAGES = 4
LAYER_TYPES = ("Mlp", "GluMlp", "SwiGLU", "SwiGLUPacked")
"""Types of layers in timm.layers that an argument of a model can name."""


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "TimmBackbone":
    """Build the model with random weights for patches of one size.

    Raises:
        SettingsError: timm has no such model, or the model cannot process patches of this size.
    """
    return build_model(name, patch_size, advice="choose another backbone, or preprocess again with another patch_size")


def build_model(
    name: str,
    patch_size: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
    advice: str = "state the input_size and the arguments that the weights belong to",
) -> "TimmBackbone":
    """Build a model with arguments of its own.

    Args:
        name: its name in timm, after 'timm:'.
        patch_size: height and width of its input, px.
        arguments: arguments of timm's `create_model`; a type of layer is given by its name.
        advice: what the user can do, for the end of the message.

    Raises:
        SettingsError: timm has no such model, or cannot build it like this.
    """
    model = name.removeprefix(PREFIX)
    if not timm.is_model(model):
        raise SettingsError(
            f"timm has no model '{model}'{nearest(model, timm.list_models())}: choose one of timm.list_models()."
        )
    types = {key: getattr(timm.layers, value) for key, value in (arguments or {}).items() if value in LAYER_TYPES}
    try:
        return TimmBackbone(model, patch_size, {**(arguments or {}), **types})
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SettingsError(
            f"The backbone '{name}' cannot process patches of {dimensions(patch_size)} px ({reason}): {advice}."
        ) from None


class TimmBackbone(Backbone):
    """A model of timm without its classification layer; its parameters have timm's names after 'model.'.

    The feature layers are timm's intermediate features: the stages of a convolutional network, the blocks of a
    transformer. 'stages' selects at most four of them, evenly spaced; 'blocks' selects all. The last one is replaced by
    the model's output, on which the dropout lies.
    """

    model: Any  # timm has no common class of models

    def __init__(self, name: str, patch_size: tuple[int, int], arguments: Mapping[str, Any] | None = None) -> None:
        """Build the model and run it once, to find its number of features and the grid of its tokens.

        Args:
            name: its name in timm.
            patch_size: height and width, px.
            arguments: further arguments of timm's `create_model`.
        """
        super().__init__()
        settings = timm.get_pretrained_cfg(name)
        size: dict[str, Any] = {"img_size": patch_size} if settings is not None and settings.fixed_input_size else {}
        self.model = timm.create_model(name, pretrained=False, num_classes=0, **{**size, **(arguments or {})})
        self.mean, self.std = (tuple(self.model.pretrained_cfg[key]) for key in ("mean", "std"))
        self.channels_last = str(getattr(self.model, "output_fmt", "")) == "NHWC"
        with torch.no_grad():
            hidden, maps = self.eval()._run(torch.zeros(1, 3, *patch_size))
            if not isinstance(hidden, Tensor):
                raise TypeError("it returns several outputs")
            self.grid = tuple(maps[-1].shape[2:]) if maps else (hidden.shape[1], 1)
            self.channels = self.tail(hidden)[1].shape[1]
        self.train()

    def _run(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute the model's output before the pooling and all of its intermediate features, [B, C_l, H_l, W_l]."""
        if not hasattr(self.model, "forward_intermediates"):
            return self.model.forward_features(images), []
        hidden, maps = self.model.forward_intermediates(images, output_fmt="NCHW")
        return hidden, maps

    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Run the model up to its pooling."""
        hidden, maps = self._run(images)
        if layers == "stages" and len(maps) > STAGES:
            maps = [maps[-(-len(maps) * quarter // STAGES) - 1] for quarter in range(1, STAGES + 1)]
        return Trunk(maps[:-1], hidden)

    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run the pooling."""
        features: Tensor = self.model.forward_head(hidden, pre_logits=True)
        return self._feature_map(hidden), features.float()

    def _feature_map(self, hidden: Tensor) -> Tensor:
        if hidden.ndim == 3:  # [B, tokens, C]
            image_tokens = hidden[:, -self.grid[0] * self.grid[1] :]
            return image_tokens.transpose(1, 2).unflatten(2, self.grid)
        return hidden.permute(0, 3, 1, 2) if self.channels_last else hidden

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights as timm itself converts them to this model, with resized position embeddings."""
        convert = getattr(import_module(type(self.model).__module__), "checkpoint_filter_fn", None)
        if convert is not None:
            weights = convert(weights, self.model)
        return {f"model.{name}": tensor for name, tensor in weights.items()}
