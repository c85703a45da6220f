"""A trained GAN with DCGAN's networks, for one class."""

import torch
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.generators.dcgan.config import GanConfig
from histoforge.generators.dcgan.geometry import doublings
from histoforge.generators.dcgan.network import DcganGenerator
from histoforge.generators.methods import METHODS
from histoforge.generators.networks import evaluating, load_weights
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo


class TrainedGan:
    """DCGAN's generator on its device, during or after training.

    Attributes:
        info: its description, with the one class that it draws.
        network: the generator.
    """

    def __init__(self, info: ModelInfo, network: torch.nn.Module, device: torch.device) -> None:
        self.info, self.network, self.device = info, network, device
        self.dtype = resolve_precision(info.config["precision"], device)
        self.z_dim = int(info.config["z_dim"])

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches, float32 [B, 3, H, W] in [-1, 1], one for each of `labels`, int64 [B], which are all 0."""
        return self._draw(self.latents(labels, rng), self.dtype)

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the noise z of each patch, standard normal, float32 [B, z_dim]."""
        return torch.randn(len(labels), self.z_dim, generator=rng)

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1]."""
        return self._draw(latents, torch.float32)

    def _draw(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, dtype):
            images: Tensor = self.network(z.to(self.device))
        return images


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedGan:
    """Build the generator of one class from a description and weights.

    Raises:
        ModelError: the weights do not fit the description.
    """
    config = METHODS[info.method].config(info.config)
    assert isinstance(config, GanConfig)
    network = DcganGenerator(config, info.patch_size, doublings(info.patch_size, info.method))
    length = state["embed.weight"].shape[1] if "embed.weight" in state else None
    if length != config.z_dim:
        raise ModelError(
            f"The weights of this {info.method} take noise of length {length}, and its model.json says z_dim="
            f"{config.z_dim}: train it again, or pass a model whose two files belong together."
        )
    return TrainedGan(info, load_weights(network, state, info, device), device)
