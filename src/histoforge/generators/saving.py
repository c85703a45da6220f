"""Writing of a trained generator: the model directory with its history and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histoforge.core.seeds import derive_seed
from histoforge.generators.history_file import write_history
from histoforge.generators.joining import CLASSIFIER, merged
from histoforge.generators.results import COLUMNS, TrainingResult, snapshot_labels
from histoforge.patches.device import to_uint8
from histoforge.patches.pictures import attention_overlay, grid, save_png
from histoforge.training.model_files import ModelInfo, save_model


def save_generator(
    path: Path, info: ModelInfo, result: TrainingResult, history_values: Mapping[str, Any], seed: int
) -> ModelInfo:
    """Write the model directory of a generator that was trained on all classes together.

    Beside the weights there are `history.json` and `pictures/`: `epoch-<n>.png` with one row per class, and
    `attention.png`. A method that also trains a classifier adds it as a model directory, `classifier/`.

    Args:
        path: the directory.
        info: the description.
        result: result of the training.
        history_values: further entries of `history.json`.
        seed: seed of the pictures' noise.
    """

    def add_files(folder: Path) -> None:
        write_history(folder, _history(result, folder, "pictures", history_values, seed))
        if result.classifier is not None:
            save_model(folder / CLASSIFIER, result.classifier.info, result.classifier.state)

    return save_model(path, info, result.state, add_files)


def save_class_generators(
    path: Path,
    info: ModelInfo,
    results: Mapping[str, TrainingResult],
    history_values: Sequence[Mapping[str, Any]],
    seed: int,
) -> ModelInfo:
    """Write the model directory of a generator with one model per class.

    It contains the weights of all classes. `history.json` has the history of each class under `by_class`.

    Args:
        path: the directory.
        info: the description of all of them together.
        results: result of each class's training, by the name of its folder under `pictures/`.
        history_values: further entries of each history.
        seed: seed of the pictures' noise.
    """

    def add_files(folder: Path) -> None:
        by_class = {
            result.generator.info.classes[0]: _history(result, folder, f"pictures/{name}", values, seed)
            for (name, result), values in zip(results.items(), history_values, strict=True)
        }
        write_history(folder, {"classes": list(by_class), "by_class": by_class})

    return save_model(path, info, merged([result.state for result in results.values()]), add_files)


def _history(
    result: TrainingResult, folder: Path, pictures: str, values: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Return the history of a training, and draw its pictures into `pictures` under `folder`."""
    history, curve = result.history, result.selection
    smoothed = dict(zip(curve.epochs, curve.smoothed, strict=True))
    names = {epoch: f"{pictures}/epoch-{epoch:04d}.png" for epoch in sorted(history.snapshots)}
    for epoch, name in names.items():
        save_png(grid(history.snapshots[epoch].numpy(), COLUMNS), folder / name)
    content = {
        "epochs": [{**row, "fid_smoothed": smoothed.get(int(row["epoch"] or 0))} for row in history.rows],
        "chosen_epoch": result.chosen_epoch,
        "choice_note": result.choice_note,
        "warnings": result.warnings,
        "classes": result.generator.info.classes,
        "pictures": {str(epoch): name for epoch, name in names.items()},
        **values,
    }
    if hasattr(result.generator, "sample_with_attention"):
        content["attention"] = f"{pictures}/attention.png"
        _draw_attention(result.generator, folder / content["attention"], seed)
    return content


def _draw_attention(generator: Any, path: Path, seed: int) -> None:
    """Draw patches of each class in one row, and their attention in the next (Fig. 9)."""
    rng = torch.Generator().manual_seed(derive_seed(seed, "attention"))
    images, attention = generator.sample_with_attention(torch.from_numpy(snapshot_labels(generator)), rng)
    pixels = to_uint8(images).cpu().numpy()
    overlay = attention_overlay(pixels, attention.cpu().numpy())
    pairs = zip(np.split(pixels, len(pixels) // COLUMNS), np.split(overlay, len(pixels) // COLUMNS), strict=True)
    save_png(grid(np.concatenate([row for pair in pairs for row in pair]), COLUMNS), path)
