"""The end of each epoch of every generator's training: score it, record it and save pictures of it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from histoforge.core.progress import say
from histoforge.generators.config import GeneratorConfig
from histoforge.generators.history import History
from histoforge.generators.loading import Generator
from histoforge.generators.model_selection import FID, PIXEL_FID, CheckpointScorer, ModelSelection, contradiction
from histoforge.generators.results import TrainingResult, snapshot
from histoforge.patches.device import Batch, DevicePatches
from histoforge.patches.patchset import PatchSet
from histoforge.training.engine import Engine
from histoforge.training.flips import flipped
from histoforge.training.processes import from_main, mean


class TrainedNetwork(Generator, Protocol):
    """A generator whose training has not ended."""

    @property
    def network(self) -> nn.Module:
        """The network that draws."""


class EpochTracker:
    """Follow a training epoch by epoch, and finally restore the weights with the best smoothed score.

    >>> tracker = EpochTracker(config, engine, scorer, trained)
    >>> engine.track(network=network, **tracker.stateful())
    >>> for real in tracker.batches(data):
    ...     values = {"loss": loss.detach()}
    ...     tracker.end_of_step(values)
    ...     engine.end_of_step(**values)
    >>> return tracker.result(sizes, parameters)

    Args:
        config: defines which epochs are scored.
        engine: runs the training.
        scorer: scores epochs; None keeps the last epoch.
        trained: draws with the weights that are scored and kept.
    """

    def __init__(
        self, config: GeneratorConfig, engine: Engine, scorer: CheckpointScorer | None, trained: TrainedNetwork
    ) -> None:
        self.config, self.engine, self.scorer, self.trained = config, engine, scorer, trained
        self.selection, self.pixels = ModelSelection(config.fid_alpha), ModelSelection(config.fid_alpha)
        self.history = History()
        self._started = time.monotonic()

    def stateful(self) -> dict[str, ModelSelection | History]:
        """Return the objects whose states a checkpoint stores."""
        return {"selection": self.selection, "pixels": self.pixels, "history": self.history}

    def batches(self, data: PatchSet) -> Iterator[Batch]:
        """Yield batches of real patches from the training's current position, flipped at random if so configured."""
        config, engine = self.config, self.engine
        patches = DevicePatches.load(data, engine.device)
        for real in engine.batches(patches, config.batch_size, config.epochs, config.epoch_steps, config.max_steps):
            yield replace(real, images=flipped(real.images, engine.rng)) if config.flips else real

    def end_of_step(self, values: dict[str, Tensor]) -> None:
        """Record a step's values, scalars; at the end of an epoch, score it, finish its row and save its picture."""
        self.history.add_step(dict(zip(values, mean(torch.stack(list(values.values()))), strict=True)))
        if self.engine.epoch_ended:
            values_of_epoch = self._epoch_values()
            seconds, self._started = time.monotonic() - self._started, time.monotonic()
            self.history.end_epoch(self.engine.epoch, self.engine.global_step + 1, **values_of_epoch, seconds=seconds)
            self._take_snapshot()

    def result(self, sizes: tuple[tuple[int, int], ...], parameters: dict[str, int]) -> TrainingResult:
        """Return the result of the training, with the best weights in its generator.

        Args:
            sizes: sizes of the images of its stages, height and width, px.
            parameters: number of weights of its networks, by name.
        """
        network, history = self.trained.network, self.history
        note = contradiction(self.selection, self.pixels, self.scorer.distrust if self.scorer else "")
        kept = self.pixels if note else self.selection
        if kept.best_epoch:
            network.load_state_dict(kept.best_weights)
        chosen = kept.best_epoch or int(history.rows[-1]["epoch"] or 0)
        history.snapshots[chosen] = snapshot(self.trained, self.config.seed)
        result = TrainingResult(self.trained, network.state_dict(), self.selection, history, chosen, sizes, parameters)
        if note:
            say(f"{self.engine.label}: {note}")
            result.chosen_by, result.choice_note = "lowest smoothed FID of pixel statistics", note
        return result

    def _epoch_values(self) -> dict[str, float | None]:
        """Score the epoch if it is due, and return its values for the history: its FIDs, None if it is not scored."""
        scores: dict[str, float] = {}
        if self.scorer is not None and self._is_due():
            scores = from_main(self.scorer.score(self.trained))
        for name, selection in ((FID, self.selection), (PIXEL_FID, self.pixels)):
            if name in scores:
                selection.add(self.engine.epoch, scores[name], self.trained.network)
        return {FID: None, PIXEL_FID: None, **scores}

    def _is_due(self) -> bool:
        """Return whether this epoch may be chosen: every `fid_every`-th from `select_from_epoch` on, and the last."""
        config, epoch = self.config, self.engine.epoch
        last = self.engine.global_step + 1 == self.engine.total_steps
        return last or (
            epoch >= config.select_from_epoch and (epoch - config.select_from_epoch) % config.fid_every == 0
        )

    def _take_snapshot(self) -> None:
        """Save pictures of the first, the middle and the last epoch."""
        epochs = -(-self.engine.total_steps // self.engine.steps_per_epoch)
        if self.engine.epoch in {1, (epochs + 1) // 2, epochs}:
            self.history.snapshots[self.engine.epoch] = snapshot(self.trained, self.config.seed)
