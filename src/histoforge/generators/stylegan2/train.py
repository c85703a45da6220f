"""Training of StyleGAN2 (Karras et al. 2020, section 3 and appendix B)."""

from functools import partial

import torch
from torch import Tensor, nn

from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import GanNetworks, frozen, to_device
from histoforge.generators.results import TrainingResult
from histoforge.generators.stylegan2.config import Stylegan2Config
from histoforge.generators.stylegan2.discriminator import Stylegan2Discriminator
from histoforge.generators.stylegan2.generator import Stylegan2Generator
from histoforge.generators.stylegan2.geometry import doublings
from histoforge.generators.stylegan2.loss import (
    PathLengthPenalty,
    discriminator_loss,
    generator_loss,
    mixed,
    r1_penalty,
)
from histoforge.generators.stylegan2.trained import TrainedStylegan2
from histoforge.layers.diff_augment import diff_augment
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters

GAMMA = 0.0002
"""The R1 penalty's weight for one pixel and one patch per batch (ADA, appendix C)."""


def train(
    config: Stylegan2Config, data: PatchSet, engine: Engine, scorer: CheckpointScorer | None, info: ModelInfo
) -> TrainingResult:
    """Train a StyleGAN2 on all patches of `data`.

    Each batch updates the discriminator, then the generator, with fakes that are drawn once for both and have the
    classes of the real patches. Every `r1_every`-th and `path_every`-th batch adds an update by a regulariser, which is
    computed in float32 at any precision ("lazy regularization", section 3.1). The chosen weights are those of the epoch
    with the best smoothed score of `scorer`, or of the last epoch without a scorer.

    Raises:
        SettingsError: the patch size does not fit the networks.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    networks = _Networks(config, data, engine, info)
    generator, discriminator = networks.generator, networks.discriminator
    tracker = EpochTracker(config, engine, scorer, networks.trained)
    engine.track(**networks.stateful(), **tracker.stateful())
    augment = partial(diff_augment, policy=config.diff_augment, rng=engine.rng)
    gamma = config.r1_gamma or GAMMA * data.patch_size[0] * data.patch_size[1] / config.batch_size

    for batch in tracker.batches(data):
        first, second = engine.normal(config.batch_size, 2, config.z_dim).unbind(1)
        with engine.autocast():
            styles = generator.styles(first, batch.labels), generator.styles(second, batch.labels)
            mixture = mixed(*styles, config.style_mixing, engine.rng)
            fake = generator.synthesise(mixture, engine.normal(config.batch_size, generator.noise_dim))

        with engine.autocast():
            real = augment(batch.images)
            real_scores = discriminator(real, batch.labels)
            fake_scores = discriminator(augment(fake.detach()), batch.labels)
            loss = discriminator_loss(real_scores, fake_scores)
        engine.step(networks.discriminator_optimizer, loss)
        values = {"discriminator": loss, "d_real": real_scores.mean(), "d_fake": fake_scores.mean()}

        with engine.autocast(), frozen(discriminator):
            loss = generator_loss(discriminator(augment(fake), batch.labels))
        engine.step(networks.generator_optimizer, loss)

        if engine.global_step % config.r1_every == 0:
            penalty = r1_penalty(partial(discriminator, labels=batch.labels), real)
            engine.step(networks.discriminator_optimizer, config.r1_every * gamma * penalty)
        if config.path_weight and engine.global_step % config.path_every == 0:
            penalty = _path_length_penalty(networks, batch.labels, engine)
            engine.step(networks.generator_optimizer, config.path_every * config.path_weight * penalty)
        networks.average()

        values |= {"generator": loss, "path_length": networks.path_length.average}
        values = {name: value.detach().clone() for name, value in values.items()}
        tracker.end_of_step(values)
        engine.end_of_step(**values)

    return tracker.result((data.patch_size,), networks.parameter_counts())


class _Networks(GanNetworks):
    """Both networks, their optimisers, and the moving average of path lengths."""

    generator: Stylegan2Generator

    def __init__(self, config: Stylegan2Config, data: PatchSet, engine: Engine, info: ModelInfo) -> None:
        shape = (data.patch_size, doublings(data.patch_size, info.method), len(data.classes))
        super().__init__(to_device(Stylegan2Generator(config, *shape), engine), config.ema_decay)
        self.config = config
        self.discriminator = to_device(Stylegan2Discriminator(config, *shape), engine)
        self.path_length = PathLengthPenalty(config.path_decay).to(engine.device)
        self.generator_optimizer = _lazy_adam(self.generator, config, config.path_every if config.path_weight else 0)
        self.discriminator_optimizer = _lazy_adam(self.discriminator, config, config.r1_every)
        self.trained = TrainedStylegan2(info, self.averaged, engine.device)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of trained weights."""
        return {"generator": count_parameters(self.generator), "discriminator": count_parameters(self.discriminator)}


def _lazy_adam(network: nn.Module, config: Stylegan2Config, every: int) -> torch.optim.Adam:
    """Return Adam for k updates by the loss and one by a regulariser in `every` = k steps; 0 for no regulariser.

    Its learning rate and the exponents of its betas are multiplied by c = k / (k + 1) (appendix B).
    """
    c = every / (every + 1) if every else 1.0
    betas = (config.beta1**c, config.beta2**c)
    return torch.optim.Adam(network.parameters(), c * config.learning_rate, betas=betas, eps=1e-8, fused=True)


def _path_length_penalty(networks: _Networks, labels: Tensor, engine: Engine) -> Tensor:
    """Compute the path length penalty of new patches of half of the labels (appendix B), every second one."""
    generator, rows = networks.generator, networks.config.batch_size
    z, noise = engine.normal(rows, generator.z_dim)[::2], engine.normal(rows, generator.noise_dim)[::2]
    styles = generator.styles(z, labels[::2])
    images = generator.synthesise(styles, noise)
    y = engine.normal(rows, *images.shape[1:])[::2]
    penalty: Tensor = networks.path_length(images, styles, y)
    return penalty
