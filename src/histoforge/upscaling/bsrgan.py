"""Super-resolution by a network that learns from degraded images (Zhang et al. 2021)."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from histoforge.generators.networks import to_device
from histoforge.generators.pathup.tiled import decode_tiled
from histoforge.generators.pathup.windows import pixel_overlap, window_corners
from histoforge.metrics.lpips import LpipsDistance
from histoforge.patches.device import to_unit
from histoforge.patches.images import Pixels
from histoforge.training.device import autocast
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.upscaling.config import UpscalerConfig
from histoforge.upscaling.pairs import CropPairs
from histoforge.upscaling.patch_critic import PatchCritic
from histoforge.upscaling.rrdb import RrdbNet


def train_bsrgan(config: UpscalerConfig, pairs: CropPairs, engine: Engine, perceptual: LpipsDistance | None) -> RrdbNet:
    """Train the network with the absolute error (BSRNet), then against a discriminator as well (BSRGAN).

    The loss of BSRGAN is |x - x'| + perceptual_weight d(x, x') + adversarial_weight (D(x') - 1)^2, as in Zhang et al.
    2021 (1, 1 and 0.1), whose perceptual distance compares features of VGG-19.

    Args:
        config: the settings.
        pairs: the training data.
        engine: the engine of this training; if it has a checkpoint, training resumes from there.
        perceptual: LPIPS as the distance d, or None to leave its term out.

    Returns:
        The average of the network's weights over the training.

    Raises:
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    network = to_device(RrdbNet(config.scale, config.channels, config.blocks, config.growth), engine)
    critic = to_device(PatchCritic(config.critic_channels), engine)
    optimizer, critic_optimizer = (
        torch.optim.Adam(trained.parameters(), config.learning_rate, fused=True) for trained in (network, critic)
    )
    ema = EMA(network, config.ema_decay)
    engine.track(network=network, critic=critic, optimizer=optimizer, critic_optimizer=critic_optimizer, ema=ema)
    for small, large in engine.batches(pairs, config.batch_size, config.epochs, config.epoch_steps):
        with engine.autocast():
            enlarged = network(small)
        error = (large - enlarged).abs().mean()
        loss, values = error, {"error": error}
        adversarial = engine.epoch > config.l1_epochs
        if adversarial:
            with engine.autocast():
                judged = critic(enlarged)
            values["adversarial"] = (judged - 1).square().mean()
            loss = loss + config.adversarial_weight * values["adversarial"]
            if perceptual is not None:
                values["perceptual"] = perceptual.between(large, enlarged).mean()
                loss = loss + config.perceptual_weight * values["perceptual"]
        engine.step(optimizer, loss)
        ema.update(network)
        if adversarial:
            with engine.autocast():
                real, fake = critic(large), critic(enlarged.detach())
            values["critic"] = ((real - 1).square().mean() + fake.square().mean()) / 2
            engine.step(critic_optimizer, values["critic"])
        engine.end_of_step(**values)
    return cast(RrdbNet, ema.module)


class Bsrgan:
    """A trained network; see `Upscaler`."""

    steps = 1

    def __init__(
        self, info: ModelInfo, config: UpscalerConfig, network: RrdbNet, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.info, self.scale, self.factor = info, config.scale, config.scale
        self.window = (config.crop // self.factor,) * 2
        self._network, self._device, self._dtype = network, device, dtype

    @torch.inference_mode()
    def upscale(
        self,
        image: Pixels,
        rng: torch.Generator,
        overlap: float = 0.5,
        batch_size: int = 16,
        advance: Callable[[int], None] = lambda windows: None,
    ) -> Pixels:
        """Enlarge an image; windows fade into each other, and nothing is random."""
        small = to_unit(torch.from_numpy(image).permute(2, 0, 1)[None])[0]
        shared = pixel_overlap(overlap, self.window)

        def enlarged(windows: Tensor) -> Tensor:
            images: Tensor = self._network(windows.to(self._device))
            return images.clamp(-1, 1)

        with autocast(self._device, self._dtype):
            large = decode_tiled(enlarged, small, self.window, shared, self.factor, batch_size)
        advance(len(window_corners(image.shape[:2], self.window, shared)))
        return large
