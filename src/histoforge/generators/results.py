"""The outcome of every generator's training, and the files written from it beside the model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from histoforge.core.seeds import derive_seed
from histoforge.generators.history import History
from histoforge.generators.history_file import write_history
from histoforge.generators.loading import Generator, draw
from histoforge.generators.model_selection import ModelSelection
from histoforge.patches.device import to_uint8
from histoforge.patches.pictures import attention_overlay, grid, save_png

COLUMNS = 8


@dataclass
class TrainingResult:
    """The outcome of a training.

    Attributes:
        generator: the generator, with the chosen weights.
        state: these weights.
        selection: the FID curve; empty if there was no judge.
        history: values of each epoch, and pictures.
        chosen_epoch: the epoch of the chosen weights.
        sizes: sizes of the images of its stages, height and width, px.
        parameters: number of weights of the generator and the critics, by name.
    """

    generator: Generator
    state: dict[str, Tensor]
    selection: ModelSelection
    history: History
    chosen_epoch: int
    sizes: tuple[tuple[int, int], ...]
    parameters: dict[str, int]

    @property
    def fid(self) -> tuple[float, float] | None:
        """Raw and smoothed FID of the chosen epoch, or None."""
        if not self.selection.epochs:
            return None
        place = self.selection.epochs.index(self.chosen_epoch)
        return self.selection.raw[place], self.selection.smoothed[place]


def snapshot(generator: Generator, seed: int) -> Tensor:
    """Draw one row of patches per class from fixed noise, uint8 [classes * 8, H, W, 3]."""
    return torch.from_numpy(draw(generator, _snapshot_labels(generator), derive_seed(seed, "snapshot")))


def write_result(outcome: TrainingResult, folder: Path, facts: dict[str, Any], seed: int) -> None:
    """Write `history.json` and `pictures/`: `epoch-<n>.png` with one row per class, and `attention.png`.

    Args:
        outcome: outcome of the training.
        folder: the model directory.
        facts: further entries of `history.json`.
        seed: seed of the pictures' noise.
    """
    write_history(folder, _recorded(outcome, folder, "pictures", facts, seed))


def write_results(outcomes: dict[str, tuple[TrainingResult, dict[str, Any]]], folder: Path, seed: int) -> None:
    """Write `history.json` and `pictures/` of one training per class.

    `history.json` has the history of each class under `by_class`.

    Args:
        outcomes: each class's outcome and further entries of its history, by the name of its folder under `pictures/`.
        folder: the model directory.
        seed: seed of the pictures' noise.
    """
    by_class = {
        outcome.generator.info.classes[0]: _recorded(outcome, folder, f"pictures/{name}", facts, seed)
        for name, (outcome, facts) in outcomes.items()
    }
    write_history(folder, {"classes": list(by_class), "by_class": by_class})


def _recorded(outcome: TrainingResult, folder: Path, pictures: str, facts: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the history of a training, and draw its pictures into `pictures` under `folder`."""
    history, selection = outcome.history, outcome.selection
    smoothed = dict(zip(selection.epochs, selection.smoothed, strict=True))
    names = {epoch: f"{pictures}/epoch-{epoch:04d}.png" for epoch in sorted(history.snapshots)}
    for epoch, name in names.items():
        save_png(grid(history.snapshots[epoch].numpy(), COLUMNS), folder / name)
    value = {
        "epochs": [{**row, "fid_smoothed": smoothed.get(int(row["epoch"] or 0))} for row in history.rows],
        "chosen_epoch": outcome.chosen_epoch,
        "classes": outcome.generator.info.classes,
        "pictures": {str(epoch): name for epoch, name in names.items()},
        **facts,
    }
    if hasattr(outcome.generator, "sample_with_attention"):
        value["attention"] = f"{pictures}/attention.png"
        _draw_attention(outcome.generator, folder / value["attention"], seed)
    return value


def _draw_attention(generator: Any, path: Path, seed: int) -> None:
    """Draw patches of each class in one row, and their attention in the next (Fig. 9)."""
    rng = torch.Generator().manual_seed(derive_seed(seed, "attention"))
    images, attention = generator.sample_with_attention(torch.from_numpy(_snapshot_labels(generator)), rng)
    pixels = to_uint8(images).cpu().numpy()
    overlay = attention_overlay(pixels, attention.cpu().numpy())
    pairs = zip(np.split(pixels, len(pixels) // COLUMNS), np.split(overlay, len(pixels) // COLUMNS), strict=True)
    save_png(grid(np.concatenate([row for pair in pairs for row in pair]), COLUMNS), path)


def _snapshot_labels(generator: Generator) -> np.ndarray:
    return np.arange(len(generator.info.classes)).repeat(COLUMNS)
