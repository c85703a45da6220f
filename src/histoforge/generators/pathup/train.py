"""Training of PathUp: latent diffusion of patches and overviews, aligned by class and level (sections 3.1 and 3.2)."""

from typing import cast

import torch

from histoforge.autoencoder.device import DeviceLatents
from histoforge.autoencoder.latents import LatentSet
from histoforge.autoencoder.network import Autoencoder
from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import to_device
from histoforge.generators.pathup.conditions import condition_count, conditions_of, null_condition
from histoforge.generators.pathup.config import TIMESTEPS, PathupConfig
from histoforge.generators.pathup.diffusion import add_noise, noise_schedule, reconstruction_loss
from histoforge.generators.pathup.feature_entropy import FeatureMemory
from histoforge.generators.pathup.geometry import check_size
from histoforge.generators.pathup.leak_probe import leak_probe
from histoforge.generators.pathup.network import PathupNetwork
from histoforge.generators.pathup.trained import AUTOENCODER, TrainedPathup, latent_window
from histoforge.generators.pathup.training_rows import training_rows
from histoforge.generators.results import TrainingResult
from histoforge.patches.patchset import PatchSet
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters
from histoforge.training.processes import uniform

CLIP_NORM = 1.0
"""Norm that gradients are clipped to, as in the training scripts of diffusers."""


def train(
    config: PathupConfig,
    data: PatchSet,
    engine: Engine,
    scorer: CheckpointScorer | None,
    info: ModelInfo,
    latents: LatentSet,
    autoencoder: Autoencoder,
) -> TrainingResult:
    """Train the U-Net on latents; the encoder never runs.

    The loss is L_r + beta L_e (eq. 4). The text encoder of the paper is replaced by an embedding of the condition,
    which is empty for a share of the images, so that guidance has a model without conditions (Ho & Salimans 2022). An
    image without its condition has no prompt in common with any other, and is left out of L_e.

    Args:
        config: the settings.
        data: the training patches, for their classes and their size.
        engine: the engine of this training.
        scorer: scores epochs by their patches; None keeps the last epoch.
        info: the description of the generator.
        latents: the latents of `data` and of its overviews.
        autoencoder: the network that made them, on the engine's device.

    Raises:
        SettingsError: the patch size does not fit the settings.
        PatchSetError: a class has no patches or no overviews.
        TrainingError: the loss is not finite; the last good checkpoint is kept.
    """
    check_size(config, data.patch_size, info.method, autoencoder.factor)
    training = DeviceLatents(latents, training_rows(config, latents), engine.device)
    classes, channels = len(data.classes), autoencoder.architecture.latent_channels
    network = to_device(PathupNetwork(config, classes, channels, latent_window(data.patch_size, autoencoder)), engine)
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    ema = EMA(network, config.ema_decay)
    memory = FeatureMemory(condition_count(classes), network.feature_size, engine.random_stream("anchors"))
    abar = noise_schedule().alphas_cumprod.to(engine.device)
    trained = TrainedPathup(info, config, cast(PathupNetwork, ema.module), autoencoder, engine.device)
    tracker = EpochTracker(config, engine, scorer, trained)
    engine.track(network=network, optimizer=optimizer, ema=ema, memory=memory, **tracker.stateful())

    for batch in engine.batches(training, config.batch_size, config.epochs, config.epoch_steps, config.max_steps):
        clean = batch.one_view(engine.rng) if config.flips else batch.views[:, 0].float()
        noise = engine.normal(config.batch_size, *clean.shape[1:])
        times = (uniform(len(clean), rng=engine.rng) * TIMESTEPS).long()
        signal = abar[times]
        prompts = conditions_of(batch.labels, batch.levels, config.alignment)
        dropped = uniform(len(clean), rng=engine.rng) < config.condition_dropout
        conditions = prompts.masked_fill(dropped, null_condition(classes))
        with engine.autocast():
            prediction, features = network(add_noise(clean, noise, signal), times, conditions)
        loss = reconstruction_loss(prediction, clean, noise, signal, config.target)
        values = {"reconstruction": loss.detach()}
        if config.alignment == "entropy":
            weights = ~dropped * (signal if config.entropy_by_signal else 1.0)
            entropy = memory.loss(features, prompts, weights, config.temperature)
            values["feature_entropy"] = entropy.detach()
            loss = loss + config.feature_entropy_weight * entropy
        engine.step(optimizer, loss, clip_norm=CLIP_NORM)
        ema.update(network)
        memory.update(features.detach(), prompts, ~dropped, config.anchor_decay)

        tracker.end_of_step(values)
        engine.end_of_step(**values)

    result = tracker.result((data.patch_size,), {"generator": count_parameters(network)})
    result.state = {**result.state, **{f"{AUTOENCODER}{name}": t for name, t in autoencoder.state_dict().items()}}
    result.figures = leak_probe(trained, latents, config.seed)
    return result
