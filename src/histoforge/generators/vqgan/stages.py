"""The two stages of VQGAN's training: a step of the autoencoder, and a step of the transformer."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.classifiers.weights import read_lpips
from histoforge.generators.networks import adam, frozen, to_device
from histoforge.generators.vqgan.codebook import CodeRestarts, perplexity, shares
from histoforge.generators.vqgan.config import VqganConfig
from histoforge.generators.vqgan.discriminator import PatchDiscriminator
from histoforge.generators.vqgan.loss import adaptive_weight, discriminator_loss, generator_loss
from histoforge.generators.vqgan.network import VqganNetwork
from histoforge.patches.device import Batch
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.parameters import count_parameters

CLIP_NORM = 1.0
"""Norm that the transformer's gradients are clipped to."""
PRIOR_BETAS = (0.9, 0.95)
"""AdamW's betas for the transformer, as in the authors' code."""
ROUNDING_ERROR = 1 / 12 / 127.5**2
"""Mean squared error of rounding to 8 bits; a smaller error counts as this one, a PSNR of 58.9 dB."""


class Stages:
    """The networks and optimisers of both stages.

    Attributes:
        network: the autoencoder and the transformer.
    """

    def __init__(self, config: VqganConfig, data: PatchSet, engine: Engine) -> None:
        self.config, self.engine = config, engine
        self.network = to_device(VqganNetwork(config, data.patch_size, len(data.classes)), engine)
        self.autoencoder, self.prior = self.network.autoencoder, self.network.prior
        self.discriminator = to_device(PatchDiscriminator(config), engine)
        self.restarts = CodeRestarts(config.codebook_size, config.restart_after).to(engine.device)
        self.perceptual = read_lpips(config.lpips_weights, config.lpips_sha256, data.patch_size, engine.device)
        self.autoencoder_optimizer = adam(self.autoencoder, config)
        self.discriminator_optimizer = adam(self.discriminator, config)
        self.prior_optimizer = _adamw(self.prior, config)

    def train_codebook(self, images: Tensor) -> dict[str, Tensor]:
        """Update the autoencoder and then the discriminator (eq. 6), and return the step's values.

        Args:
            images: float32 [B, 3, H, W] in [-1, 1].
        """
        config, engine = self.config, self.engine
        with engine.autocast():
            coding = self.autoencoder(images)
        error = reconstruction = (images - coding.restored).abs().mean()
        if self.perceptual is not None:
            distance = self.perceptual.between(images, coding.restored).mean()
            reconstruction = error + config.perceptual_weight * distance
        loss = reconstruction + coding.codebook_loss
        values = {"reconstruction": error, "psnr": psnr(images, coding.restored), "codebook": coding.codebook_loss}

        judged = config.adversarial_weight > 0 and engine.global_step >= config.discriminator_start
        if judged:
            with engine.autocast(), frozen(self.discriminator):
                adversarial = generator_loss(self.discriminator(coding.restored))
            weight = adaptive_weight(reconstruction, adversarial, self.autoencoder.last_layer)
            loss = loss + config.adversarial_weight * weight * adversarial
            values |= {"generator": adversarial, "adaptive_weight": weight}
        engine.step(self.autoencoder_optimizer, loss)

        if judged:
            with engine.autocast():
                loss = discriminator_loss(self.discriminator(images), self.discriminator(coding.restored.detach()))
            engine.step(self.discriminator_optimizer, loss)
            values["discriminator"] = loss

        usage = shares(coding.codes, config.codebook_size)
        values["perplexity"] = perplexity(usage)
        if config.restart_after:
            values["restarted"] = self.restarts.update(self.autoencoder.codebook, usage, coding.encoded, engine.rng)
        return values

    def train_prior(self, batch: Batch) -> dict[str, Tensor]:
        """Update the transformer by the cross entropy of the codes (eq. 8), and return it, nats per code."""
        with self.engine.autocast():
            with torch.no_grad():
                codes = self.autoencoder.encode(batch.images).flatten(1)
            logits = self.prior(codes, batch.labels)
        loss = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        self.engine.step(self.prior_optimizer, loss, clip_norm=CLIP_NORM)
        return {"prior": loss}

    def stateful(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Return the objects whose states a checkpoint stores."""
        return {
            "network": self.network,
            "discriminator": self.discriminator,
            "restarts": self.restarts,
            "autoencoder_optimizer": self.autoencoder_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "prior_optimizer": self.prior_optimizer,
        }

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of trained weights."""
        networks = {"autoencoder": self.autoencoder, "prior": self.prior, "discriminator": self.discriminator}
        return {name: count_parameters(network) for name, network in networks.items()}


def psnr(images: Tensor, restored: Tensor) -> Tensor:
    """Return the mean peak signal-to-noise ratio of images [B, 3, H, W] in [-1, 1], dB, float32 []."""
    errors = (images - restored.detach().clamp(-1, 1)).square().mean((1, 2, 3)).clamp(min=ROUNDING_ERROR)
    return 10 * torch.log10(4 / errors).mean()


def _adamw(prior: nn.Module, config: VqganConfig) -> torch.optim.AdamW:
    """Return AdamW, which decays the weights of linear layers alone, as in the authors' code."""
    decayed = [layer.weight for layer in prior.modules() if isinstance(layer, nn.Linear)]
    linear = {id(weight) for weight in decayed}
    undecayed = [weight for weight in prior.parameters() if id(weight) not in linear]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": undecayed, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups,
        config.prior_learning_rate,
        betas=PRIOR_BETAS,
        weight_decay=config.weight_decay,
        fused=True,
    )
