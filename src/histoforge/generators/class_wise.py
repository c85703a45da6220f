"""One model per class behind one `sample(labels, rng)`, for methods without labels (Mustafa 2024, Figs. 5 and 6)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from histoforge.training.model_files import ModelInfo

Load = Callable[[ModelInfo, dict[str, Tensor], torch.device], Any]


class ClassWise:
    """One generator per class.

    Attributes:
        info: description of all generators together.
        members: generators in the order of `info.classes`.
    """

    def __init__(self, info: ModelInfo, members: Sequence[Any]) -> None:
        self.info, self.members = info, list(members)

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B]: float32 [B, 3, H, W] in [-1, 1].

        The classes draw from `rng` one after the other.
        """
        return self._by_class(labels, lambda member, rows: member.sample(torch.zeros_like(labels[rows]), rng))

    def _by_class(self, labels: Tensor, draw: Callable[[Any, Tensor], Tensor]) -> Tensor:
        images: Tensor | None = None
        for label in labels.unique().tolist():
            rows = (labels == label).nonzero().squeeze(1)
            samples = draw(self.members[label], rows)
            if images is None:
                images = samples.new_empty(len(labels), *samples.shape[1:])
            images[rows.to(images.device)] = samples
        assert images is not None, "there are labels"
        return images


class LatentClassWise(ClassWise):
    """Generators that have latent spaces of the same length."""

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw the noise of each patch, float32 [B, z_dim]."""
        noise: Tensor = self.members[0].latents(labels, rng)
        return noise

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches of this noise, computed in float32: float32 [B, 3, H, W] in [-1, 1]."""
        return self._by_class(labels, lambda member, rows: member.decode(latents[rows], torch.zeros_like(labels[rows])))


def load(info: ModelInfo, state: dict[str, Tensor], device: torch.device, load_one: Load) -> ClassWise:
    """Load the generators of a model directory of several classes.

    Args:
        info: description of the whole model.
        state: weights, each name prefixed with the index of its class, as `merged` returns them.
        device: device of all generators.
        load_one: builds one generator from its description and weights.
    """
    members = []
    for index, name in enumerate(info.classes):
        prefix = f"{index}."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        members.append(load_one(info.model_copy(update={"classes": [name]}), weights, device))
    return LatentClassWise(info, members) if hasattr(members[0], "decode") else ClassWise(info, members)
