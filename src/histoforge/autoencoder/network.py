"""The autoencoder: diffusers' AutoencoderKL with latents of unit variance."""

from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn

from histoforge.autoencoder.architecture import Architecture
from histoforge.core.errors import ModelError
from histoforge.layers.group_norm import use_float32_group_norm
from histoforge.training.model_files import ModelInfo, load_model


class Autoencoder(nn.Module):
    """A variational autoencoder with a slight KL penalty (Rombach et al. 2022, section 3.1 and appendix G).

    Attributes:
        architecture: its architecture.
        factor: pixels per side of one latent.
        scale: factor on the latents that gives them unit variance (Rombach et al. 2022, appendix G), float32 [].
    """

    scale: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture, self.factor = architecture, architecture.factor
        levels = len(architecture.block_out_channels)
        self.vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            **architecture.model_dump(),
        )
        self.register_buffer("scale", torch.ones(()))
        use_float32_group_norm(self.vae)

    def posterior(self, images: Tensor) -> DiagonalGaussianDistribution:
        """Return the distribution of the unscaled latents of images, float [B, 3, H, W] in [-1, 1]."""
        encoded = self.vae.encode(images, return_dict=False)[0]
        return DiagonalGaussianDistribution(encoded.parameters.float())

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents of images: the mode of the posterior, scaled.

        Args:
            images: float [B, 3, H, W] in [-1, 1]; H and W are multiples of `factor`.

        Returns:
            float32 [B, C, H / factor, W / factor], of about unit variance.
        """
        return self.posterior(images).mode() * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """Return the images of latents, float [B, C, h, w]: float32 [B, 3, h factor, w factor] in [-1, 1]."""
        return self.restore(latents / self.scale).clamp(-1, 1)

    @torch.no_grad()
    def fit_scale(self, images: Tensor) -> None:
        """Set `scale` so that the latents of images, float [B, 3, H, W] in [-1, 1], have unit variance."""
        self.scale.fill_(1.0)
        self.scale.fill_(1 / float(self.encode(images).std()))

    def restore(self, latents: Tensor) -> Tensor:
        """Return the images of unscaled latents, float32 [B, 3, h factor, w factor], not limited to [-1, 1]."""
        images: Tensor = self.vae.decode(latents, return_dict=False)[0]
        return images.float()


def load_autoencoder(path: Path, device: torch.device) -> tuple[ModelInfo, Autoencoder]:
    """Load a trained autoencoder and its description.

    Args:
        path: the model directory.
        device: where to compute.

    Returns:
        The description, and the network in evaluation mode and without gradients.

    Raises:
        ModelError: the model is missing, damaged or not an autoencoder.
    """
    info, state = load_model(path, "autoencoder")
    network = Autoencoder(Architecture.make(info.config["architecture"]))
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise ModelError(f"The weights in {path} do not fit its description: run train_autoencoder again.") from None
    return info, network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
