"""Training of DCGAN and related methods: one loop with the losses of the method (Radford et al. 2016, section 4)."""

from functools import partial

import torch
from torch import Tensor

from histoforge.generators.dcgan.config import DcganConfig, GanConfig, SnganConfig, WganGpConfig
from histoforge.generators.dcgan.geometry import doublings
from histoforge.generators.dcgan.network import DcganDiscriminator, DcganGenerator
from histoforge.generators.dcgan.objective import (
    CrossEntropy,
    DiscriminatorStep,
    Hinge,
    LeastSquares,
    Objective,
    Wasserstein,
)
from histoforge.generators.dcgan.trained import TrainedGan
from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import GanNetworks, adam, frozen, to_device
from histoforge.generators.results import TrainingResult
from histoforge.layers.diff_augment import diff_augment
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters


def train(
    config: GanConfig, data: PatchSet, engine: Engine, scorer: CheckpointScorer | None, info: ModelInfo
) -> TrainingResult:
    """Train the method of `config` on all patches of `data`, which belong to one class.

    Raises:
        SettingsError: the method cannot draw the patch size.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    return train_gan(config, data, engine, scorer, info, objective_of(config))


def objective_of(config: GanConfig) -> Objective:
    """Return the losses of a method."""
    match config:
        case DcganConfig():
            return CrossEntropy(config.real_target)
        case SnganConfig():
            return Hinge()
        case WganGpConfig():
            return Wasserstein(config.gp_weight)
    return LeastSquares()


def train_gan(
    config: GanConfig,
    data: PatchSet,
    engine: Engine,
    scorer: CheckpointScorer | None,
    info: ModelInfo,
    objective: Objective,
) -> TrainingResult:
    """Train DCGAN's networks with the losses of `objective`, otherwise like `train`.

    Each batch updates the discriminator, and every `n_critic`-th batch the generator, with fakes that are drawn once
    for both. The chosen weights are those of the epoch with the best smoothed score of `scorer`, or of the last epoch
    without a scorer.
    """
    networks = _Networks(config, data, engine, info)
    tracker = EpochTracker(config, engine, scorer, networks.trained)
    engine.track(**networks.stateful(), **tracker.stateful())
    clip_value, clip_norm = (config.clip_at if config.clip == kind else None for kind in ("value", "norm"))
    update = partial(engine.step, clip_value=clip_value, clip_norm=clip_norm)
    augment = partial(diff_augment, policy=config.diff_augment, rng=engine.rng)

    for real in tracker.batches(data):
        update_generator = (engine.global_step + 1) % config.n_critic == 0
        with engine.autocast(), torch.set_grad_enabled(update_generator):
            samples = networks.generator(engine.normal(config.batch_size, config.z_dim))

        with engine.autocast():
            real_images, fake_images = augment(real.images), augment(samples.detach())
            scores = _scores(networks.discriminator, real_images, fake_images)
            step = DiscriminatorStep(
                networks.discriminator, real_images, fake_images, *scores, real, samples.detach(), engine.rng
            )
            loss, values = objective.discriminator(step)
        update(networks.discriminator_optimizer, loss)
        values |= _balance(objective, loss, *scores)

        if update_generator:
            with engine.autocast(), frozen(networks.discriminator):
                loss = objective.generator(networks.discriminator(augment(samples)))
            update(networks.generator_optimizer, loss)
            networks.average()

        tracker.end_of_step(values)
        engine.end_of_step(**values)

    return tracker.result((data.patch_size,), networks.parameter_counts())


class _Networks(GanNetworks):
    """Both networks and their optimisers."""

    def __init__(self, config: GanConfig, data: PatchSet, engine: Engine, info: ModelInfo) -> None:
        steps, sn = doublings(data.patch_size, info.method), isinstance(config, SnganConfig)
        super().__init__(to_device(DcganGenerator(config, data.patch_size, steps), engine), config.ema_decay)
        self.discriminator = to_device(DcganDiscriminator(config, data.patch_size, steps, sn), engine)
        self.generator_optimizer = adam(self.generator, config)
        self.discriminator_optimizer = adam(self.discriminator, config)
        self.trained = TrainedGan(info, self.averaged, engine.device)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of trained weights."""
        return {"generator": count_parameters(self.generator), "discriminator": count_parameters(self.discriminator)}


def _scores(discriminator: DcganDiscriminator, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Score both, [B] each: in one pass, unless batch statistics would mix them."""
    if discriminator.couples_patches:
        return discriminator(real), discriminator(fake)
    return discriminator(torch.cat([real, fake])).chunk(2)


def _balance(objective: Objective, loss: Tensor, real_scores: Tensor, fake_scores: Tensor) -> dict[str, Tensor]:
    """Return both losses, and the discriminator's mean output for real and for fake patches."""
    real_scores, fake_scores = real_scores.detach(), fake_scores.detach()
    return {
        "discriminator": loss.detach(),
        "generator": objective.generator(fake_scores),
        "d_real": objective.output(real_scores).mean(),
        "d_fake": objective.output(fake_scores).mean(),
    }
