"""Join models that were trained on one class each into one model directory. Imports no torch."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histoforge.core.documents import known_shape
from histoforge.core.errors import ModelError
from histoforge.core.results import LEFT_BESIDE
from histoforge.generators.history_file import FILE_NAME as HISTORY
from histoforge.generators.history_file import read_history, write_history
from histoforge.training.model_files import ModelInfo, load_arrays, save_arrays

PICTURES, CLASSIFIER = "pictures", "classifier"
"""Folders in the model directory of a generator: its pictures, and the classifier that was trained with it, if any."""
ADVICE = "train the generator again"
State = dict[str, NDArray[np.generic]]
Weights = TypeVar("Weights")


def merged(states: Sequence[Mapping[str, Weights]]) -> dict[str, Weights]:
    """Return the weights of all classes in one `state_dict`: '0.embed.weight' is the first one's 'embed.weight'."""
    return {f"{index}.{name}": value for index, state in enumerate(states) for name, value in state.items()}


def join(paths: Sequence[Path], out: Path) -> ModelInfo:
    """Join models that were trained on one class each into one model directory.

    The classes are in the order of the patch set's classes. The result is the same as that of one training of all these
    classes. A single model is copied unchanged.

    Args:
        paths: model directories of one method and one patch set.
        out: the model directory to write.

    Raises:
        ModelError: a model is damaged, the models do not belong together, or a class appears twice or not at all.
    """
    models = [_Model(Path(path), *load_arrays(path, "generator")) for path in paths]
    classes: list[str] = models[0].info.training.get("patch_classes", models[0].info.classes)
    if len(models) > 1:
        for model in models:
            _check_same_training(model, models[0])
        _check_classes([model.info.classes[0] for model in models], classes)
        models.sort(key=lambda model: classes.index(model.info.classes[0]))
    first = models[0]
    info = first.info.model_copy(
        update={
            "classes": [name for model in models for name in model.info.classes],
            "training": _training_record([model.info.training for model in models]),
        }
    )
    state = first.state if len(models) == 1 else merged([_without_prefix(model.state) for model in models])
    return save_arrays(out, info, state, lambda folder: _join_histories([model.path for model in models], folder))


@dataclass(frozen=True)
class _Model:
    path: Path
    info: ModelInfo
    state: State


def _check_same_training(model: _Model, first: _Model) -> None:
    """Check that a model is of one class, and was trained like the first one."""
    info, expected = model.info, first.info
    if len(info.classes) != 1 or "patch_classes" not in info.training:
        raise ModelError(
            f"{model.path} draws {', '.join(info.classes)}, but only models that were trained on one class can be "
            "joined: train each class with only_class."
        )
    settings = {**expected.config, **info.config}
    for what, value, expected_value in (
        ("method", info.method, expected.method),
        *((name, info.config.get(name), expected.config.get(name)) for name in settings),
        ("patch size", info.patch_size, expected.patch_size),
        *((f"digest of the {name}", digest, expected.digests.get(name)) for name, digest in info.digests.items()),
    ):
        if value != expected_value:
            raise ModelError(
                f"{model.path} and {first.path} cannot be joined, since their {what} differ ({value} and "
                f"{expected_value}): train both with the same settings on the same patch set."
            )


def _check_classes(names: Sequence[str], expected: Sequence[str]) -> None:
    """Check that each class of the patch set has exactly one model."""
    missing = [name for name in expected if name not in names]
    repeated = {name for name in names if names.count(name) > 1}
    if missing or repeated:
        problem = f"no model of the class '{missing[0]}'" if missing else f"two models of the class '{repeated.pop()}'"
        raise ModelError(f"Among the models to join is {problem}: give one for each of {', '.join(expected)}.")


def _without_prefix(state: State) -> State:
    return {name.partition(".")[2]: value for name, value in state.items()}


def _training_record(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the record of all trainings: sums of patches, steps and seconds, and the record of each class."""
    if len(records) == 1:
        return records[0]
    sums = {name: round(sum(record[name] for record in records), 2) for name in ("patches", "steps", "seconds")}
    by_class = {name: summary for record in records for name, summary in record["by_class"].items()}
    return {**records[0], **sums, "epochs": max(record["epochs"] for record in records), "by_class": by_class}


def _join_histories(paths: Sequence[Path], folder: Path) -> None:
    """Write one `history.json` of all classes, and all pictures; for a single model, copy all files beside it."""
    histories = [read_history(path, ADVICE) for path in paths]
    if len(paths) == 1:
        written = shutil.ignore_patterns("model.*", *LEFT_BESIDE)
        shutil.copytree(
            paths[0],
            folder,
            dirs_exist_ok=True,
            ignore=lambda parent, names: written(parent, names) if Path(parent) == paths[0] else set(),
        )
        return
    for path in paths:
        shutil.copytree(path / PICTURES, folder / PICTURES, dirs_exist_ok=True)
    with known_shape(paths[0] / HISTORY, ModelError, ADVICE):
        by_class = {name: entry for history in histories for name, entry in history["by_class"].items()}
    write_history(folder, {**histories[0], "classes": list(by_class), "by_class": by_class})
