"""Training of the autoencoder (Rombach et al. 2022, section 3.1 and appendix G)."""

from dataclasses import dataclass

import torch

from histoforge.autoencoder.network import Autoencoder
from histoforge.metrics.lpips import LpipsDistance
from histoforge.patches.device import DevicePatches
from histoforge.training.engine import Engine
from histoforge.training.flips import flipped

CLIP_NORM = 1.0


@dataclass(frozen=True)
class Hyperparameters:
    """Length and loss of the training; the fields are the parameters of the same names in `TrainAutoencoderConfig`."""

    epochs: int
    epoch_steps: int
    batch_size: int
    learning_rate: float
    kl_weight: float
    perceptual_weight: float
    flips: bool


def fit(
    network: Autoencoder,
    images: DevicePatches,
    params: Hyperparameters,
    engine: Engine,
    perceptual: LpipsDistance | None,
) -> None:
    """Train the autoencoder in place.

    The loss is |x - x'| + perceptual_weight d(x, x') + kl_weight KL(q(z|x) || N(0, 1)), each per value of the image, as
    in the code of Rombach et al. Deviation: there is no discriminator, so that details may be blurred where its absence
    is not made up for by the perceptual distance.

    Args:
        network: on the engine's device.
        images: training images of all levels.
        params: the hyperparameters.
        engine: the engine of this training; if it has a checkpoint, training resumes from there.
        perceptual: LPIPS as the distance d, or None to leave its term out.

    Raises:
        TrainingError: the loss is not finite; the last good checkpoint is kept.
    """
    optimizer = torch.optim.Adam(network.parameters(), params.learning_rate, fused=True)
    engine.track(network=network, optimizer=optimizer)
    network.train()
    for batch in engine.batches(images, params.batch_size, params.epochs, params.epoch_steps):
        real = flipped(batch.images, engine.rng) if params.flips else batch.images
        with engine.autocast():
            posterior = network.posterior(real)
            noise = torch.randn(posterior.mean.shape, generator=engine.rng, device=engine.device)
            restored = network.restore(posterior.mean + posterior.std * noise)
        error = (real - restored).abs().mean()
        divergence = posterior.kl().sum() / real.numel()
        loss = error + params.kl_weight * divergence
        values = {"error": error, "divergence": divergence}
        if perceptual is not None:
            values["perceptual"] = perceptual.between(real, restored).mean()
            loss = loss + params.perceptual_weight * values["perceptual"]
        engine.step(optimizer, loss, clip_norm=CLIP_NORM)
        engine.end_of_step(**values)
    network.eval()
