"""One stage of the fine-tuning of an MFT-SNN."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.siamese.loss import contrastive_loss
from histoforge.siamese.network import MftSnn
from histoforge.siamese.pairs import PairSource
from histoforge.training.engine import Engine


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of every stage (section IV.C.1).

    Attributes:
        batch_size: pairs per step.
        reconstruction_rate: Adagrad's learning rate, for the reconstruction.
        similarity_rate: Adam's learning rate, for the contrastive loss.
        margin: margin of the contrastive loss.
    """

    batch_size: int
    reconstruction_rate: float
    similarity_rate: float
    margin: float


@dataclass(frozen=True)
class Stage:
    """The layers that one stage trains, and the length of the stage.

    A0-2: layers are the encoder's convolutions, counted from the last one. The decoder is trained in stage 1. In stage
    2 it is frozen, and the gradient of the reconstruction flows through it.

    Attributes:
        name: such as 'stage-1'.
        layers: number of the encoder's last convolutions that are trained.
        decoder: whether the decoder is trained.
        epochs: number of epochs.
        epoch_steps: number of steps per epoch.
        second_share: share of the steps that train on a second source (the single-stage ablation).
    """

    name: str
    layers: int
    decoder: bool
    epochs: int
    epoch_steps: int
    second_share: float = 0.0

    @property
    def steps(self) -> int:
        """Number of steps of the whole stage."""
        return self.epochs * self.epoch_steps


class Losses:
    """Mean losses of each epoch.

    Attributes:
        rows: one dict per epoch: epoch, step, contrastive, reconstruction, seconds.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, **values: Tensor) -> None:
        """Add the losses of a step."""
        self._steps += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach().double()

    def end_epoch(self, epoch: int, step: int, seconds: float) -> None:
        """Finish an epoch's row."""
        means = {name: float(total) / self._steps for name, total in self._sums.items()}
        self.rows.append({"epoch": epoch, "step": step, **means, "seconds": round(seconds, 3)})
        self._sums, self._steps = {}, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        vars(self).update(state)


def fit(network: MftSnn, stage: Stage, sources: list[PairSource], params: Hyperparameters, engine: Engine) -> Losses:
    """Train `network` in place for one stage.

    A0-4: the two optimisers share parameters, so each batch builds two separate graphs: reconstruction, backward,
    Adagrad; then embeddings of the updated network, contrastive loss, backward, Adam. Both images of each pair are
    reconstructed. The output of the frozen layers before the trained ones does not change in between and is computed
    once.

    Args:
        network: on the engine's device.
        stage: the stage to train.
        sources: where pairs are drawn from; a second source takes `second_share` of the steps, evenly spread.
        params: the hyperparameters.
        engine: the engine of this training; if it has a checkpoint, training resumes from there.

    Raises:
        TrainingError: a loss is not finite; the last good checkpoint is kept.
    """
    similarity, reconstruction = _optimizers(network, stage, params)
    losses = Losses()
    engine.track(network=network, similarity=similarity, reconstruction=reconstruction, losses=losses)
    network.train()
    started = time.monotonic()
    for batch in engine.batches(sources[0].patches, params.batch_size, stage.epochs, stage.epoch_steps):
        source, rows = _source_and_rows(stage, sources, batch.rows, engine)
        pairs = source.pairs(rows, engine.rng)
        images = torch.cat([pairs.first, pairs.second])
        with engine.autocast(), torch.no_grad():
            early = network.early_maps(images, stage.layers)
        with engine.autocast():
            restored = network.decode(network.late_maps(early, stage.layers), source.size)
        reconstruction_loss = F.mse_loss(restored.float(), images)
        engine.step(reconstruction, reconstruction_loss)
        with engine.autocast():
            first, second = network.pool(network.late_maps(early, stage.layers)).chunk(2)
        similarity_loss = contrastive_loss(first, second, pairs.is_dissimilar, params.margin)
        engine.step(similarity, similarity_loss)
        losses.add(contrastive=similarity_loss, reconstruction=reconstruction_loss)
        if engine.epoch_ended:
            losses.end_epoch(engine.epoch, engine.global_step + 1, time.monotonic() - started)
            started = time.monotonic()
        engine.end_of_step(contrastive=similarity_loss, reconstruction=reconstruction_loss)
    network.eval()
    return losses


def _optimizers(network: MftSnn, stage: Stage, params: Hyperparameters) -> tuple[torch.optim.Adam, torch.optim.Adagrad]:
    network.requires_grad_(False)
    encoder = list(nn.ModuleList(network.trainable_convolutions(stage.layers)).requires_grad_(True).parameters())
    decoder = list(network.decoder.requires_grad_(True).parameters()) if stage.decoder else []
    return (
        torch.optim.Adam(encoder, params.similarity_rate, fused=True),
        torch.optim.Adagrad([*encoder, *decoder], params.reconstruction_rate),
    )


def _source_and_rows(
    stage: Stage, sources: list[PairSource], rows: Tensor, engine: Engine
) -> tuple[PairSource, Tensor]:
    """Return the source of this step's pairs, and rows of it."""
    step = engine.global_step
    if int((step + 1) * stage.second_share) == int(step * stage.second_share):
        return sources[0], rows
    return sources[1], torch.randint(len(sources[1]), rows.shape, generator=engine.rng, device=engine.device)
