"""Training of HistoGAN (Xue et al. 2021, sections 3.1 and 4.2.1)."""

import torch
from torch import nn

from histoforge.generators.epochs import Epochs
from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.histogan.loss import at_each_stage, critic_loss, generator_loss
from histoforge.generators.histogan.trained import TrainedHistogan
from histoforge.generators.model_selection import CheckpointScorer
from histoforge.generators.networks import adam, count_parameters, to_device
from histoforge.generators.results import TrainingResult
from histoforge.patches.patchset import PatchSet
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo


def train(
    config: HistoganConfig, data: PatchSet, engine: Engine, judge: CheckpointScorer | None, info: ModelInfo
) -> TrainingResult:
    """Train a HistoGAN on all patches of `data`.

    Critics and generator are updated in turn ("alternatively optimized"): the critics on each batch, the generator on
    every `n_critic`-th batch. The chosen weights are those of the epoch with the best smoothed score of `judge`, or of
    the last epoch without a judge.

    Raises:
        SettingsError: the patch size does not fit the settings.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    nets = _Networks(config, data, engine)
    epochs = Epochs(config, engine, judge, TrainedHistogan(info, nets.averaged, engine.device))
    engine.track(**nets.parts(), **epochs.parts())

    for real in epochs.batches(data):
        levels = at_each_stage(real.images, nets.geometry.stages)
        generator_turn = (engine.global_step + 1) % config.n_critic == 0

        with engine.autocast(), torch.set_grad_enabled(generator_turn):
            fakes = nets.generator(engine.normal(config.batch_size, config.z_dim), real.labels)
        with engine.autocast():
            seen = [fake.detach() for fake in fakes]
            loss, facts = critic_loss(nets.critics, levels, seen, real.labels, config.gp_weight, engine.rng)
        engine.step(nets.critic_optimizer, loss)

        if generator_turn:
            with engine.autocast():
                loss = generator_loss(nets.critics, fakes, real.labels)
            engine.step(nets.generator_optimizer, loss)
            nets.average()

        epochs.end_of_step(facts)
        engine.end_of_step(**facts)

    return epochs.outcome(nets.geometry.sizes, nets.parameter_counts())


class _Networks:
    """Generator, critics, their optimisers, and the moving average of the generator if there is one."""

    def __init__(self, config: HistoganConfig, data: PatchSet, engine: Engine) -> None:
        geometry, classes = Geometry.of(config, data.patch_size), len(data.classes)
        self.geometry = geometry
        self.generator = to_device(HistoganGenerator(config, geometry, classes), engine)
        self.critics = nn.ModuleList(
            to_device(HistoganCritic(config, geometry, stage, classes), engine) for stage in range(geometry.stages)
        )
        self.generator_optimizer = adam(self.generator, config)
        self.critic_optimizer = adam(self.critics, config)
        self.ema = EMA(self.generator, config.ema_decay) if config.ema_decay else None

    @property
    def averaged(self) -> HistoganGenerator:
        """The generator that is judged and kept."""
        return self.ema.module if self.ema else self.generator  # type: ignore[return-value]

    def average(self) -> None:
        """Update the average after a step of the generator."""
        if self.ema:
            self.ema.update(self.generator)

    def parameter_counts(self) -> dict[str, int]:
        """Return the numbers of trained weights."""
        return {"generator": count_parameters(self.generator), "critics": count_parameters(self.critics)}

    def parts(self) -> dict:
        """Return the parts that a checkpoint stores."""
        return {name: part for name, part in vars(self).items() if hasattr(part, "load_state_dict")}
