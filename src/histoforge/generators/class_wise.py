"""One model a class behind one `sample(labels, rng)`, for methods that know no labels (Mustafa 2024, Figs. 5 and 6)."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.core.files import read_json, write_json
from histoforge.training.models import ModelInfo, load_model, save_model

HISTORY, PICTURES = "history.json", "pictures"
Load = Callable[[ModelInfo, dict[str, Tensor], torch.device], Any]


class ClassWise:
    """A generator a class.

    Attributes:
        info: of all of them together.
        members: in the order of `info.classes`.
    """

    def __init__(self, info: ModelInfo, members: Sequence[Any]) -> None:
        self.info, self.members = info, list(members)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1].

        The classes draw from `rng` one after the other.
        """
        return self._by_class(labels, lambda member, rows: member.sample(torch.zeros_like(labels[rows]), rng))

    def _by_class(self, labels: Tensor, draw: Callable[[Any, Tensor], Tensor]) -> Tensor:
        images: Tensor | None = None
        for label in labels.unique().tolist():
            rows = (labels == label).nonzero().squeeze(1)
            drawn = draw(self.members[label], rows)
            if images is None:
                images = drawn.new_empty(len(labels), *drawn.shape[1:])
            images[rows.to(images.device)] = drawn
        assert images is not None, "there are labels"
        return images


class LatentClassWise(ClassWise):
    """Generators that have a latent space, all of the same length."""

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """The noise of each patch, float32 [B, z_dim]."""
        noise: Tensor = self.members[0].latents(labels, rng)
        return noise

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """The patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1]."""
        return self._by_class(labels, lambda member, rows: member.decode(latents[rows], torch.zeros_like(labels[rows])))


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device, load_one: Load) -> ClassWise:
    """The generators that a model directory of several classes holds.

    Args:
        info: of the whole model.
        state: weights, each name with its class's place before it, as `merged` gives them.
        device: for all of them.
        load_one: makes one of its description and weights.
    """
    members = []
    for place, name in enumerate(info.classes):
        own = {key.partition(".")[2]: value for key, value in state.items() if key.partition(".")[0] == str(place)}
        members.append(load_one(info.model_copy(update={"classes": [name]}), own, device))
    kind = LatentClassWise if hasattr(members[0], "decode") else ClassWise
    return kind(info, members)


def merged(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The weights of all classes in one `state_dict`: '0.embed.weight' is the first one's 'embed.weight'."""
    return {f"{place}.{name}": value for place, state in enumerate(states) for name, value in state.items()}


def join(paths: Sequence[Path], out: Path) -> ModelInfo:
    """Make one model directory of several that were trained on one class each, in the order of the patch set's classes.

    It is what one training of all these classes gives. A single model is copied as it is.

    Args:
        paths: model directories of one method and one patch set.
        out: the model directory to write.

    Raises:
        ModelError: one is damaged, they do not belong together, or a class is there twice or not at all.
    """
    loaded = [(Path(path), *load_model(path, "generator")) for path in paths]
    wanted: list[str] = loaded[0][1].training.get("patch_classes", loaded[0][1].classes)
    if len(loaded) > 1:
        _check_belong_together(loaded, wanted)
        loaded.sort(key=lambda one: wanted.index(one[1].classes[0]))
    first = loaded[0][1]
    info = first.model_copy(
        update={"classes": [name for _, info, _ in loaded for name in info.classes], "training": _training(loaded)}
    )
    state = loaded[0][2] if len(loaded) == 1 else merged([_alone(state) for _, _, state in loaded])
    return save_model(out, info, state, lambda folder: _join_histories([path for path, _, _ in loaded], folder))


def _check_belong_together(loaded: Sequence[tuple[Path, ModelInfo, dict[str, Tensor]]], wanted: list[str]) -> None:
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


def _alone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.partition(".")[2]: value for name, value in state.items()}


def _training(loaded: Sequence[tuple[Path, ModelInfo, dict[str, Tensor]]]) -> dict[str, Any]:
    """The facts of all trainings: sums of patches, steps and seconds, and each class's own."""
    facts = [info.training for _, info, _ in loaded]
    if len(facts) == 1:
        return facts[0]
    sums = {name: round(sum(one[name] for one in facts), 2) for name in ("patches", "steps", "seconds")}
    by_class = {name: own for one in facts for name, own in one["by_class"].items()}
    return {**facts[0], **sums, "epochs": max(one["epochs"] for one in facts), "by_class": by_class}


def _join_histories(paths: Sequence[Path], folder: Path) -> None:
    """One `history.json` of all classes, and all pictures; of a single model, all that stands beside it."""
    if len(paths) == 1:
        shutil.copytree(paths[0], folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("model.*"))
        return
    for path in paths:
        shutil.copytree(path / PICTURES, folder / PICTURES, dirs_exist_ok=True)
    histories = [read_json(path / HISTORY) for path in paths]
    by_class = {name: own for history in histories for name, own in history["by_class"].items()}
    write_json(folder / HISTORY, {**histories[0], "classes": list(by_class), "by_class": by_class})
