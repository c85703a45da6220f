"""A trained VQGAN, which draws the codes of a patch and decodes them."""

import torch
from torch import Tensor

from histoforge.generators.methods import METHODS
from histoforge.generators.networks import evaluating, load_weights
from histoforge.generators.vqgan.config import VqganConfig
from histoforge.generators.vqgan.network import VqganNetwork
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.model_files import ModelInfo


class TrainedVqgan:
    """Both networks on their device, during or after training.

    Attributes:
        info: its description.
        network: the networks.
    """

    def __init__(self, info: ModelInfo, config: VqganConfig, network: VqganNetwork, device: torch.device) -> None:
        self.info, self.config, self.network, self.device = info, config, network, device
        self.dtype = resolve_precision(config.precision, device)

    def autocast(self) -> torch.autocast:
        """Return the context in which the networks run at the precision of their training."""
        return autocast(self.device, self.dtype)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1]."""
        network = self.network
        uniform = torch.rand(len(labels), network.prior.places, generator=rng).to(self.device)
        with evaluating(network), torch.inference_mode(), self.autocast():
            codes = network.prior.draw(labels.to(self.device), uniform, self.config.draw_temperature, self.config.top_k)
            return network.autoencoder.decode(codes.unflatten(1, network.grid))


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedVqgan:
    """Load the generator of a model directory.

    Raises:
        ModelError: its weights do not fit its description.
    """
    config = METHODS[info.method].config(info.config)
    assert isinstance(config, VqganConfig)
    network = VqganNetwork(config, info.patch_size, len(info.classes))
    return TrainedVqgan(info, config, load_weights(network, state, info, device), device)
