"""The network of an encoder as a backbone: frozen up to its pooling, behind which the dropout lies."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from histoforge.classifiers.backbones.base import Backbone, Layers, Trunk
from histoforge.classifiers.backbones.registry import Stem, find_backbone
from histoforge.classifiers.backbones.timm_models import PREFIX, TimmBackbone, build_model
from histoforge.classifiers.encoders.description import EncoderArchitecture
from histoforge.core.errors import SettingsError

POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "default": lambda _, pooled: pooled,
    "class_token": lambda _, class_token: class_token,
    "mean": lambda tokens, _: tokens.float().mean((2, 3)),
    "class_token_and_mean": lambda tokens, class_token: torch.cat([class_token, tokens.float().mean((2, 3))], 1),
}
"""The embedding by the image tokens, [B, C, rows, columns], and what the network itself pools, [B, C]."""


def build(
    name: str, patch_size: tuple[int, int], stem: Stem, width: float, encoder: Mapping[str, Any]
) -> "FrozenEncoder":
    """Build the network with random weights from the fields of an `EncoderArchitecture`."""
    return FrozenEncoder(EncoderArchitecture.model_validate(encoder))


class FrozenEncoder(Backbone):
    """An encoder without trainable parameters; its embedding is the only activation, [B, D, 1, 1].

    The dropout therefore lies on the embedding, as in a linear probe, and distances to class centroids in a selection
    are distances in the space of the encoder.

    Attributes:
        network: the network whose activations are pooled.
    """

    def __init__(self, architecture: EncoderArchitecture) -> None:
        """Build the network with random weights.

        Raises:
            SettingsError: the architecture does not exist, or cannot process images of the input size or be pooled so.
        """
        super().__init__()
        self.mean, self.std = architecture.mean, architecture.std
        self._pool = POOLINGS[architecture.pooling]
        self.network = _build_network(architecture)
        factor = 2 if architecture.pooling == "class_token_and_mean" else 1
        self.channels = factor * self.network.channels
        self.requires_grad_(False)
        self._converted: dict[torch.dtype, Backbone] = {}

    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Compute the embedding, at the dtype of autocast, to which the weights are converted once.

        Autocast itself would convert them at every call and keep activations between layers in float32.
        """
        device = images.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        network = self._at(dtype)
        with torch.autocast(device, enabled=False):
            last, pooled = network.tail(network.trunk(images.to(dtype), layers).hidden)
            return Trunk([], self._pool(last, pooled)[:, :, None, None])

    def _at(self, dtype: torch.dtype) -> Backbone:
        """Return the network at a dtype; its weights no longer change once they are loaded."""
        if dtype == torch.float32:
            return self.network
        if dtype not in self._converted:
            self._converted[dtype] = deepcopy(self.network).to(dtype)
        return self._converted[dtype]

    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embedding, [B, D, 1, 1] and [B, D]."""
        return hidden, hidden.flatten(1).float()

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights as the network's backbone adapts them."""
        return {f"network.{name}": tensor for name, tensor in self.network.adapt_weights(weights).items()}


def _build_network(architecture: EncoderArchitecture) -> Backbone:
    name, side = architecture.architecture, architecture.input_size
    subject = f"The architecture '{name}' of the encoder {architecture.name}"
    if name.startswith(PREFIX):
        return _build_timm(architecture, subject)
    entry = find_backbone(name)
    if architecture.arguments or architecture.pooling != "default":
        raise SettingsError(
            f"{subject} takes no arguments, and no pooling but 'default': leave them out, or give a model of timm, "
            "such as timm:vit_base_patch16_224."
        )
    if entry.settings or not entry.fits((side, side)):
        problem = "is no encoder" if entry.settings else f"needs an input_size of {entry.required_size}, not {side}"
        raise SettingsError(f"{subject} {problem}: state those that the weights belong to.")
    return entry.build(name, (side, side), {"stem": "imagenet", "width": 1.0})


def _build_timm(architecture: EncoderArchitecture, subject: str) -> TimmBackbone:
    side, pooling = architecture.input_size, architecture.pooling
    arguments = dict(architecture.arguments)
    if pooling != "default":
        arguments["global_pool"] = "token"
    network = build_model(architecture.architecture, (side, side), arguments)
    if pooling != "default" and not getattr(network.model, "num_prefix_tokens", 0):
        raise SettingsError(f"{subject} has no class token, and its pooling is '{pooling}': give 'default'.")
    return network
