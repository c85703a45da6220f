"""Join models that were trained on one class each into one model directory. Imports no torch."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from histoforge.core.documents import known_shape
from histoforge.core.errors import ModelError
from histoforge.core.results import RECORD
from histoforge.generators.history_file import FILE_NAME as HISTORY
from histoforge.generators.history_file import read_history, write_history
from histoforge.training.model_files import ModelInfo, load_arrays, save_arrays

PICTURES = "pictures"
ADVICE = "train the generator again"
State = dict[str, NDArray[np.generic]]
Weights = TypeVar("Weights")


def merged(states: Sequence[Mapping[str, Weights]]) -> dict[str, Weights]:
    """Return the weights of all classes in one `state_dict`: '0.embed.weight' is the first one's 'embed.weight'."""
    return {f"{place}.{name}": value for place, state in enumerate(states) for name, value in state.items()}


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
    loaded = [(Path(path), *load_arrays(path, "generator")) for path in paths]
    wanted: list[str] = loaded[0][1].training.get("patch_classes", loaded[0][1].classes)
    if len(loaded) > 1:
        _check_belong_together(loaded, wanted)
        loaded.sort(key=lambda one: wanted.index(one[1].classes[0]))
    first = loaded[0][1]
    info = first.model_copy(
        update={"classes": [name for _, info, _ in loaded for name in info.classes], "training": _training(loaded)}
    )
    state = loaded[0][2] if len(loaded) == 1 else merged([_alone(state) for _, _, state in loaded])
    return save_arrays(out, info, state, lambda folder: _join_histories([path for path, _, _ in loaded], folder))


def _check_belong_together(loaded: Sequence[tuple[Path, ModelInfo, State]], wanted: list[str]) -> None:
    (first_path, first, _), names = loaded[0], [name for _, info, _ in loaded for name in info.classes]
    for path, info, _ in loaded:
        if len(info.classes) != 1 or "patch_classes" not in info.training:
            raise ModelError(f"{path} draws {', '.join(info.classes)}, and models of one class each can be joined.")
        for what, one, other in (
            ("method", info.method, first.method),
            *((name, info.config.get(name), first.config.get(name)) for name in {**first.config, **info.config}),
            ("patch size", info.patch_size, first.patch_size),
            *((f"digest of the {name}", value, first.digests.get(name)) for name, value in info.digests.items()),
        ):
            if one != other:
                raise ModelError(
                    f"{path} and {first_path} cannot be joined, since their {what} differ ({one} and {other}): train "
                    "both with the same settings on the same patch set."
                )
    missing, twice = [name for name in wanted if name not in names], {n for n in names if names.count(n) > 1}
    if missing or twice:
        what = f"no model of the class '{missing[0]}'" if missing else f"two models of the class '{twice.pop()}'"
        raise ModelError(f"Among the models to join is {what}: give one for each of {', '.join(wanted)}.")


def _alone(state: State) -> State:
    return {name.partition(".")[2]: value for name, value in state.items()}


def _training(loaded: Sequence[tuple[Path, ModelInfo, State]]) -> dict[str, Any]:
    """Return the facts of all trainings: sums of patches, steps and seconds, and those of each class."""
    facts = [info.training for _, info, _ in loaded]
    if len(facts) == 1:
        return facts[0]
    sums = {name: round(sum(one[name] for one in facts), 2) for name in ("patches", "steps", "seconds")}
    by_class = {name: own for one in facts for name, own in one["by_class"].items()}
    return {**facts[0], **sums, "epochs": max(one["epochs"] for one in facts), "by_class": by_class}


def _join_histories(paths: Sequence[Path], folder: Path) -> None:
    """Write one `history.json` of all classes, and all pictures; for a single model, copy all files beside it."""
    histories = [read_history(path, ADVICE) for path in paths]
    if len(paths) == 1:
        shutil.copytree(paths[0], folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("model.*", RECORD))
        return
    for path in paths:
        shutil.copytree(path / PICTURES, folder / PICTURES, dirs_exist_ok=True)
    with known_shape(paths[0] / HISTORY, ModelError, ADVICE):
        by_class = {name: own for history in histories for name, own in history["by_class"].items()}
    write_history(folder, {**histories[0], "classes": list(by_class), "by_class": by_class})
