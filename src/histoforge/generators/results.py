"""The result of every generator's training."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from histoforge.core.seeds import derive_seed
from histoforge.generators.history import History
from histoforge.generators.loading import Generator, draw
from histoforge.generators.model_selection import ModelSelection
from histoforge.training.model_files import ModelInfo

COLUMNS = 8
"""Number of patches per row of a picture."""


@dataclass(frozen=True)
class TrainedClassifier:
    """The classifier that a method trained together with its generator.

    Attributes:
        info: its description, with the record of its training.
        state: its weights.
    """

    info: ModelInfo
    state: dict[str, Tensor]


@dataclass
class TrainingResult:
    """The result of a training.

    Attributes:
        generator: the generator, with the chosen weights.
        state: these weights.
        selection: the FID curve; empty if no epoch was scored.
        history: values of each epoch, and pictures.
        chosen_epoch: the epoch of the chosen weights.
        sizes: sizes of the images of its stages, height and width, px.
        parameters: number of weights of the generator and the critics, by name.
        classifier: the classifier of a method that trains one, else None.
        chosen_by: how the epoch was chosen; '' for the lowest smoothed FID, or the last epoch without a scorer.
        choice_note: why pixel statistics chose the epoch; '' if they did not.
        figures: what else the method measured, by name.
        warnings: one sentence each.
    """

    generator: Generator
    state: dict[str, Tensor]
    selection: ModelSelection
    history: History
    chosen_epoch: int
    sizes: tuple[tuple[int, int], ...]
    parameters: dict[str, int]
    classifier: TrainedClassifier | None = None
    chosen_by: str = ""
    choice_note: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def fid(self) -> tuple[float, float] | None:
        """Raw and smoothed FID of the chosen epoch, or None."""
        if not self.selection.epochs:
            return None
        index = self.selection.epochs.index(self.chosen_epoch)
        return self.selection.raw[index], self.selection.smoothed[index]


def snapshot(generator: Generator, seed: int) -> Tensor:
    """Draw one row of patches per class from fixed noise, uint8 [classes * 8, H, W, 3]."""
    return torch.from_numpy(draw(generator, snapshot_labels(generator), derive_seed(seed, "snapshot")))


def snapshot_labels(generator: Generator) -> np.ndarray:
    """Return the labels of one row of patches per class, int64 [classes * 8]."""
    return np.arange(len(generator.info.classes)).repeat(COLUMNS)
