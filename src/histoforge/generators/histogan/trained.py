"""A trained HistoGAN, which draws patches and shows its attention."""

import torch
from torch import Tensor

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.networks import evaluating, load_weights
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo


class TrainedHistogan:
    """A HistoGAN generator on its device, during or after training.

    Attributes:
        info: its description.
        network: the generator.
    """

    def __init__(self, info: ModelInfo, network: HistoganGenerator, device: torch.device) -> None:
        self.info, self.network, self.device = info, network, device
        self.dtype = resolve_precision(info.config["precision"], device)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1]."""
        return self.sample_with_attention(labels, rng)[0]

    def sample_with_attention(self, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw patches like `sample`, and return how much attention each position received.

        Returns:
            float32 [B, 3, H, W] in [-1, 1], and float32 [B, h, w]: for each position of the map after stage 1, the mean
            weight that all regions gave to it (the mean of alpha over j).
        """
        images, attention = self._draw(self.latents(labels, rng), labels, self.dtype)
        height, width = images[0].shape[2:]
        return images[-1], attention.float().mean(dim=1).unflatten(1, (height, width))

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the noise z of each patch, standard normal, float32 [B, z_dim]."""
        return torch.randn(len(labels), self.network.z_dim, generator=rng)

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1]."""
        return self._draw(latents, labels, torch.float32)[0][-1]

    def _draw(self, z: Tensor, labels: Tensor, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, dtype):
            return self.network.draw(z.to(self.device), labels.to(self.device))


def build(config: HistoganConfig, patch_size: tuple[int, int], classes: int) -> HistoganGenerator:
    """Build a generator with random weights."""
    return HistoganGenerator(config, Geometry.of(config, patch_size), classes)


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedHistogan:
    """Load the generator of a model directory.

    Raises:
        ModelError: its weights do not fit its description.
    """
    values = {name: value for name, value in info.config.items() if name in HistoganConfig.model_fields}
    network = build(HistoganConfig.make(values), info.patch_size, len(info.classes))
    return TrainedHistogan(info, load_weights(network, state, info, device), device)
