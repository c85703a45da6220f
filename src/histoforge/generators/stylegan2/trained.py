"""A trained StyleGAN2, which draws patches of a class."""

import torch
from torch import Tensor

from histoforge.generators.methods import METHODS
from histoforge.generators.networks import evaluating, load_weights
from histoforge.generators.stylegan2.config import Stylegan2Config
from histoforge.generators.stylegan2.generator import Stylegan2Generator
from histoforge.generators.stylegan2.geometry import doublings
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo


class TrainedStylegan2:
    """The generator on its device, during or after training.

    Attributes:
        info: its description.
        network: the generator.
    """

    def __init__(self, info: ModelInfo, network: Stylegan2Generator, device: torch.device) -> None:
        self.info, self.network, self.device = info, network, device
        self.dtype = resolve_precision(info.config["precision"], device)
        self.psi = float(info.config["truncation_psi"])

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1].

        Each patch has noise of its own inside the network.
        """
        latents = self.latents(labels, rng)
        noise = torch.randn(len(labels), self.network.noise_dim, generator=rng)
        return self._draw(latents, labels, noise, self.dtype)

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the noise z of each patch, standard normal, float32 [B, z_dim]."""
        return torch.randn(len(labels), self.network.z_dim, generator=rng)

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1].

        The noise inside the network is the same for all patches.
        """
        noise = torch.randn(1, self.network.noise_dim, generator=torch.Generator().manual_seed(0))
        return self._draw(latents, labels, noise.expand(len(labels), -1), torch.float32)

    def _draw(self, z: Tensor, labels: Tensor, noise: Tensor, dtype: torch.dtype) -> Tensor:
        labels = labels.to(self.device)
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, dtype):
            styles = self.network.styles(z.to(self.device), labels)
            if self.psi < 1:
                styles = torch.lerp(self.network.mean_styles(labels), styles, self.psi)
            return self.network.synthesise(styles, noise.to(self.device)).clamp(-1, 1)


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedStylegan2:
    """Load the generator of a model directory.

    Raises:
        ModelError: its weights do not fit its description.
    """
    config = METHODS[info.method].config(info.config)
    assert isinstance(config, Stylegan2Config)
    steps = doublings(info.patch_size, info.method)
    network = Stylegan2Generator(config, info.patch_size, steps, len(info.classes))
    return TrainedStylegan2(info, load_weights(network, state, info, device), device)
