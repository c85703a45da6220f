"""A trained diffusion model: draws patches by removing noise."""

import torch
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.generators.ddpm.config import DdpmConfig
from histoforge.generators.ddpm.diffusion import denoise
from histoforge.generators.ddpm.network import NoiseNetwork
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.models import ModelInfo


class TrainedDdpm:
    """A network that predicts noise, on its device, whether its training goes on or has ended.

    Attributes:
        info: its description.
        network: the network.
    """

    def __init__(self, info: ModelInfo, config: DdpmConfig, network: NoiseNetwork, device: torch.device) -> None:
        self.info, self.config, self.network, self.device = info, config, network, device
        self.dtype = resolve_precision(config.precision, device)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1].

        Where the network does not go by label, it has but one class to draw.
        """
        training = self.network.training
        self.network.eval()
        with torch.inference_mode(), autocast(self.device, self.dtype):
            images = denoise(
                self.network, labels.to(self.device), self.config.sampling_steps, self.config.eta, rng, self.device
            )
        self.network.train(training)
        return images


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device) -> TrainedDdpm:
    """The generator that a model directory describes.

    Raises:
        ModelError: its weights do not fit its description.
    """
    config = DdpmConfig.make({name: value for name, value in info.config.items() if name in DdpmConfig.model_fields})
    network = NoiseNetwork(config, info.patch_size, len(info.classes))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"The weights of this ddpm do not fit its model.json ({reason}): train it again.") from None
    return TrainedDdpm(info, config, network.to(device).to(memory_format=torch.channels_last).eval(), device)
