"""The training of HistoGAN (Xue et al. 2021, sections 3.1 and 4.2.1)."""

import time

import torch
from torch import Tensor, nn

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.critic import HistoganCritic
from histoforge.generators.histogan.generator import HistoganGenerator
from histoforge.generators.histogan.geometry import Geometry
from histoforge.generators.histogan.loss import at_each_stage, critic_loss, generator_loss
from histoforge.generators.histogan.trained import TrainedHistogan
from histoforge.generators.history import History
from histoforge.generators.model_selection import EpochJudge, ModelSelection
from histoforge.generators.outcome import Outcome, snapshot
from histoforge.patches.device import DevicePatches
from histoforge.patches.patchset import PatchSet
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.models import ModelInfo


def train(config: HistoganConfig, data: PatchSet, engine: Engine, judge: EpochJudge | None, info: ModelInfo) -> Outcome:
    """Train a HistoGAN on all patches of `data`.

    Critics and generator are updated in turn ("alternatively optimized"): the critics on each batch, the generator on
    each `n_critic`-th. The weights are those of the epoch that `judge` likes best, smoothed; without one, the last.

    Raises:
        SettingsError: the patch size does not go with the settings.
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    nets = _Networks(config, data, engine)
    selection, history = ModelSelection(config.fid_alpha), History()
    engine.track(**nets.parts(), selection=selection, history=history)
    trained = TrainedHistogan(info, nets.averaged, engine.device)
    started = time.monotonic()

    patches = DevicePatches.load(data, engine.device)
    for real in engine.batches(patches, config.batch_size, config.epochs, config.epoch_steps, config.max_steps):
        images = _flipped(real.images, engine.rng) if config.flips else real.images
        levels = at_each_stage(images, nets.geometry.stages)
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

        history.add_step(facts)
        if engine.epoch_ended:
            fid = _judge(config, engine, judge, trained, selection)
            seconds, started = time.monotonic() - started, time.monotonic()
            history.end_epoch(engine.epoch, engine.global_step + 1, fid=fid, seconds=seconds)
            _take_snapshot(config, engine, trained, history)
        engine.end_of_step(**facts)

    if selection.best_epoch:
        nets.averaged.load_state_dict(selection.best_weights)
    chosen = selection.best_epoch or int(history.rows[-1]["epoch"] or 0)
    history.snapshots[chosen] = snapshot(trained, config.seed)
    return Outcome(
        trained, nets.averaged.state_dict(), selection, history, chosen, nets.geometry.sizes, nets.parameter_counts()
    )


class _Networks:
    """Generator, critics, their optimisers, and the average of the generator if there is to be one."""

    def __init__(self, config: HistoganConfig, data: PatchSet, engine: Engine) -> None:
        geometry, classes = Geometry.of(config, data.patch_size), len(data.classes)
        self.geometry = geometry
        self.generator = _placed(HistoganGenerator(config, geometry, classes), engine)
        self.critics = nn.ModuleList(
            _placed(HistoganCritic(config, geometry, stage, classes), engine) for stage in range(geometry.stages)
        )
        self.generator_optimizer = _adam(self.generator, config)
        self.critic_optimizer = _adam(self.critics, config)
        self.ema = EMA(self.generator, config.ema_decay) if config.ema_decay else None

    @property
    def averaged(self) -> HistoganGenerator:
        """The generator that is judged and kept."""
        return self.ema.module if self.ema else self.generator  # type: ignore[return-value]

    def average(self) -> None:
        """Follow the generator's last update."""
        if self.ema:
            self.ema.update(self.generator)

    def parameter_counts(self) -> dict[str, int]:
        """How many weights are trained."""
        return {
            name: sum(p.numel() for p in network.parameters())
            for name, network in (("generator", self.generator), ("critics", self.critics))
        }

    def parts(self) -> dict:
        """What a checkpoint holds of them."""
        return {name: part for name, part in vars(self).items() if hasattr(part, "load_state_dict")}


def _placed(network: nn.Module, engine: Engine) -> nn.Module:
    return network.to(engine.device).to(memory_format=torch.channels_last)


def _adam(network: nn.Module, config: HistoganConfig) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), config.learning_rate, betas=(config.beta1, config.beta2), eps=1e-8, fused=True
    )


def _flipped(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each image mirrored at random along each axis."""
    for axis in (2, 3):
        chosen = torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < 0.5
        images = torch.where(chosen, images.flip(axis), images)
    return images


def _judge(
    config: HistoganConfig,
    engine: Engine,
    judge: EpochJudge | None,
    trained: TrainedHistogan,
    selection: ModelSelection,
) -> float | None:
    """The epoch's FID where it is to be judged: from `select_from_epoch` on, and the last one always."""
    last = engine.global_step + 1 == engine.total_steps
    due = engine.epoch >= config.select_from_epoch and (engine.epoch - config.select_from_epoch) % config.fid_every == 0
    if judge is None or not (due or last):
        return None
    fid = judge.score(trained)
    selection.add(engine.epoch, fid, trained.network)
    return fid


def _take_snapshot(config: HistoganConfig, engine: Engine, trained: TrainedHistogan, history: History) -> None:
    """Keep pictures of the first epoch, the middle one and the last."""
    epochs = -(-engine.total_steps // engine.steps_an_epoch)
    if engine.epoch in {1, (epochs + 1) // 2, epochs}:
        history.snapshots[engine.epoch] = snapshot(trained, config.seed)
