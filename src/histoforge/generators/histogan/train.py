"""Training of HistoGAN (Xue et al. 2021, sections 3.1 and 4.2.1)."""

import torch
from torch import nn

from histoforge.generators.epoch_tracker import EpochTracker
from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.histogan.loss import at_each_stage, critic_loss, generator_loss
from histoforge.generators.histogan.trained import TrainedHistogan
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import GanNetworks, adam, to_device
from histoforge.generators.results import TrainingResult
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters


def train(
    config: HistoganConfig, data: PatchSet, engine: Engine, scorer: CheckpointScorer | None, info: ModelInfo
) -> TrainingResult:
    """Train a HistoGAN on all patches of `data`.

    Critics and generator are updated in turn ("alternatively optimized"): the critics on each batch, the generator on
    every `n_critic`-th batch. The chosen weights are those of the epoch with the best smoothed score of `scorer`, or
    of the last epoch without a scorer.

    Raises:
        SettingsError: the patch size does not fit the settings.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    networks = _Networks(config, data, engine)
    tracker = EpochTracker(config, engine, scorer, TrainedHistogan(info, networks.averaged, engine.device))
    engine.track(**networks.stateful(), **tracker.stateful())

    for real in tracker.batches(data):
        levels = at_each_stage(real.images, networks.geometry.stages)
        update_generator = (engine.global_step + 1) % config.n_critic == 0

        with engine.autocast(), torch.set_grad_enabled(update_generator):
            fakes = networks.generator(engine.normal(config.batch_size, config.z_dim), real.labels)
        with engine.autocast():
            detached = [fake.detach() for fake in fakes]
            loss, values = critic_loss(networks.critics, levels, detached, real.labels, config.gp_weight, engine.rng)
        engine.step(networks.critic_optimizer, loss)

        if update_generator:
            with engine.autocast():
                loss = generator_loss(networks.critics, fakes, real.labels)
            engine.step(networks.generator_optimizer, loss)
            networks.average()

        tracker.end_of_step(values)
        engine.end_of_step(**values)

    return tracker.result(networks.geometry.sizes, networks.parameter_counts())


class _Networks(GanNetworks):
    """Generator, critics and their optimisers."""

    def __init__(self, config: HistoganConfig, data: PatchSet, engine: Engine) -> None:
        geometry, classes = Geometry.of(config, data.patch_size), len(data.classes)
        super().__init__(to_device(HistoganGenerator(config, geometry, classes), engine), config.ema_decay)
        self.geometry = geometry
        self.critics = nn.ModuleList(
            to_device(HistoganCritic(config, geometry, stage, classes), engine) for stage in range(geometry.stages)
        )
        self.generator_optimizer = adam(self.generator, config)
        self.critic_optimizer = adam(self.critics, config)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of trained weights."""
        return {"generator": count_parameters(self.generator), "critics": count_parameters(self.critics)}
