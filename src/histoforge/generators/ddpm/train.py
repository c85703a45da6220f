"""Training of the denoising diffusion model (Ho et al. 2020, algorithm 1)."""

from typing import cast

import torch

from histoforge.generators.ddpm.config import TIMESTEPS, DdpmConfig
from histoforge.generators.ddpm.diffusion import diffusion_loss, noise_schedule
from histoforge.generators.ddpm.network import DenoisingNetwork
from histoforge.generators.ddpm.trained import TrainedDdpm
from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import to_device
from histoforge.generators.results import TrainingResult
from histoforge.patches.patchset import PatchSet
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters
from histoforge.training.processes import uniform

CLIP_NORM = 1.0
"""Norm that gradients are clipped to, as in the code of Ho et al. 2020."""


def train(
    config: DdpmConfig, data: PatchSet, engine: Engine, scorer: CheckpointScorer | None, info: ModelInfo
) -> TrainingResult:
    """Train a diffusion model on all patches of `data`.

    The chosen weights are those of the epoch with the best smoothed score of `scorer`, or of the last epoch without a
    scorer.

    Raises:
        SettingsError: the patch size does not fit the settings.
        TrainingError: the loss is not finite; the last good checkpoint is kept.
    """
    network = to_device(DenoisingNetwork(config, data.patch_size, len(data.classes)), engine)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
    ema, schedule = EMA(network, config.ema_decay), noise_schedule(config.prediction)
    trained = TrainedDdpm(info, config, cast(DenoisingNetwork, ema.module), engine.device)
    tracker = EpochTracker(config, engine, scorer, trained)
    engine.track(network=network, optimizer=optimizer, ema=ema, **tracker.stateful())

    for real in tracker.batches(data):
        noise = engine.normal(config.batch_size, *real.images.shape[1:])
        if config.offset_noise:
            noise = noise + config.offset_noise * engine.normal(config.batch_size, 3, 1, 1)
        times = (uniform(len(real.labels), rng=engine.rng) * TIMESTEPS).long()
        with engine.autocast():
            loss = diffusion_loss(network, schedule, real.images, real.labels, times, noise)
        engine.step(optimizer, loss, clip_norm=CLIP_NORM)
        ema.update(network)

        values = {"loss": loss.detach()}
        tracker.end_of_step(values)
        engine.end_of_step(**values)

    return tracker.result((data.patch_size,), {"generator": count_parameters(network)})
