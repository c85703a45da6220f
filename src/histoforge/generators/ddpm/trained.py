"""A trained diffusion model, which draws patches by removing noise."""

import torch
from torch import Tensor

from histoforge.generators.ddpm.config import DdpmConfig
from histoforge.generators.ddpm.diffusion import denoise, denoise_from
from histoforge.generators.ddpm.network import DenoisingNetwork
from histoforge.generators.networks import evaluating, load_weights
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo


class TrainedDdpm:
    """A denoising network on its device, during or after training.

    Attributes:
        info: its description.
        network: the network.
    """

    def __init__(self, info: ModelInfo, config: DdpmConfig, network: DenoisingNetwork, device: torch.device) -> None:
        self.info, self.config, self.network, self.device = info, config, network, device
        self.dtype = resolve_precision(config.precision, device)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1].

        A network that is not conditioned on labels has only one class to draw.
        """
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, self.dtype):
            return denoise(
                self.network, labels.to(self.device), self.config.sampling_steps, self.config.eta, rng, self.device
            )


class TrainedDdim(TrainedDdpm):
    """A diffusion model that samples without further noise (eta = 0), so that the first noise determines the patch."""

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the first noise x_T of each patch, standard normal, float32 [B, 3, H, W]."""
        return torch.randn(len(labels), 3, *self.network.patch_size, generator=rng)

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1]."""
        with evaluating(self.network), torch.inference_mode(), autocast(self.device, torch.float32):
            return denoise_from(
                self.network, latents.to(self.device), labels.to(self.device), self.config.sampling_steps
            )


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedDdpm:
    """Load the generator of a model directory.

    Raises:
        ModelError: its weights do not fit its description.
    """
    values = {name: value for name, value in info.config.items() if name in DdpmConfig.model_fields}
    config = DdpmConfig.make({"prediction": "noise", **values})  # that of models from before there was a choice
    network = DenoisingNetwork(config, info.patch_size, len(info.classes))
    trained_class = TrainedDdpm if config.eta else TrainedDdim
    return trained_class(info, config, load_weights(network, state, info, device), device)
