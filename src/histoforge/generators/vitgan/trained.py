"""A trained unified ViT cGAN, which draws patches of a class."""

import torch
from torch import Tensor

from histoforge.generators.methods import METHODS
from histoforge.generators.networks import evaluating, load_weights
from histoforge.generators.vitgan.config import VitganConfig
from histoforge.generators.vitgan.generator import VitganGenerator
from histoforge.generators.vitgan.geometry import base_size
from histoforge.generators.vitgan.noise import truncated
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo


class TrainedVitgan:
    """The generator on its device, during or after training.

    Attributes:
        info: its description.
        network: the generator.
    """

    def __init__(self, info: ModelInfo, network: VitganGenerator, device: torch.device) -> None:
        self.info, self.network, self.device = info, network, device
        self.dtype = resolve_precision(info.config["precision"], device)
        self.bound = float(info.config["truncation"])

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1]."""
        return self._draw(self.latents(labels, rng), labels, self.dtype)

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the noise of each patch before its truncation, standard normal, float32 [B, z_dim]."""
        return torch.randn(len(labels), self.network.z_dim, generator=rng)

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1]."""
        return self._draw(latents, labels, torch.float32)

    def _draw(self, normal: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
        z = truncated(normal.to(self.device), self.bound)
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, dtype):
            images: Tensor = self.network(z, labels.to(self.device))
        return images


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedVitgan:
    """Load the generator of a model directory.

    Raises:
        ModelError: its weights do not fit its description.
    """
    config = METHODS[info.method].config(info.config)
    assert isinstance(config, VitganConfig)
    network = VitganGenerator(config, base_size(config, info.patch_size, info.method), len(info.classes))
    return TrainedVitgan(info, load_weights(network, state, info, device), device)
