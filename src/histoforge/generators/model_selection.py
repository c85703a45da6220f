"""Choice of the epoch whose weights become the generator: the lowest smoothed FID (Xue et al. 2021, section 3.1.2)."""

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.generators.loading import Generator, draw
from histoforge.metrics.extract import Extractor, Precision, extract_features
from histoforge.metrics.frechet import FrechetReference
from histoforge.patches.patchset import PatchSet


class CheckpointScorer(Protocol):
    """Scores an epoch's generator; lower is better."""

    def score(self, generator: Generator) -> float:
        """Return the score."""


class FidScorer:
    """FID of a generator against the training patches with the in-domain extractor (eq. 4).

    Each epoch is scored on the same noise and the same labels, which follow the classes' shares. Deviation A4-6: the
    paper does not say which real patches it compares with; here they are always the training patches.

    Args:
        extractor: the in-domain classifier, in evaluation mode, on `device`.
        real: the training patches; their statistics are computed once, on first use.
        samples: number of synthetic patches; 0 for as many as real ones.
        seed: seed of noise and labels.
        device: device of both networks.
        dtype: bfloat16 or float32, for the extractor on both sides.
    """

    def __init__(
        self, extractor: Extractor, real: PatchSet, samples: int, seed: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.extractor, self.device, self.seed = extractor, device, derive_seed(seed, "fid")
        self.precision: Precision = "bfloat16" if dtype == torch.bfloat16 else "float32"
        self.labels = share_labels(real.labels, samples or len(real), seed)
        self._real = real

    def score(self, generator: Generator) -> float:
        """Return the FID."""
        return self._reference.distance(self._features(draw(generator, self.labels, self.seed)))

    @cached_property
    def _reference(self) -> FrechetReference:
        return FrechetReference(self._features(self._real))

    def _features(self, patches: PatchSet | NDArray[np.uint8]) -> NDArray[np.float32]:
        return extract_features(
            self.extractor,
            patches,
            self.device,
            precision=self.precision,
            label="FID features",
        )


def share_labels(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return `count` labels in the proportions of `labels`: whole copies of it, and a random part for the rest."""
    rest = numpy_rng(seed, "fid labels").permutation(labels)[: count % len(labels)]
    return np.concatenate([np.tile(labels, count // len(labels)), rest])


class ModelSelection:
    """The raw and the smoothed scores of the scored epochs, and the weights of the best one so far.

    Smoothed score, eq. 5: s_1 = d_1 and s_t = alpha s_(t-1) + (1 - alpha) d_t. Deviation A4-6: t = 1 is the first
    scored epoch. The best epoch is the one with the lowest smoothed score; ties go to the earliest.

    Attributes:
        epochs, raw, smoothed: one value per scored epoch.
        best_epoch: 0 before the first scored epoch.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.epochs: list[int] = []
        self.raw: list[float] = []
        self.smoothed: list[float] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}

    def add(self, epoch: int, score: float, network: nn.Module) -> None:
        """Add an epoch's score, and keep its weights if it is the best."""
        smoothed = self.alpha * self.smoothed[-1] + (1 - self.alpha) * score if self.smoothed else score
        if not self.smoothed or smoothed < min(self.smoothed):
            self.best_epoch = epoch
            self.best_weights = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
        self.epochs.append(epoch)
        self.raw.append(score)
        self.smoothed.append(smoothed)

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state."""
        return {name: value for name, value in vars(self).items() if name != "alpha"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        vars(self).update(state)
