"""Which epoch's weights become the generator: the lowest smoothed FID (Xue et al. 2021, section 3.1.2)."""

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.generators.registry import Generator, draw
from histoforge.metrics.extract import Extractor, Precision, extract_features
from histoforge.metrics.frechet import FrechetReference
from histoforge.patches.patchset import PatchSet


class EpochJudge(Protocol):
    """Gives an epoch's generator a score; lower is better."""

    def score(self, generator: Generator) -> float:
        """The score."""


class FidJudge:
    """FID of a generator against the training patches with the in-domain extractor (eq. 4).

    Each epoch is judged on the same noise and the same labels, which follow the classes' shares. Deviation A4-6: the
    paper does not say which real patches it compares with; they are the training patches, never others.

    Args:
        extractor: the in-domain classifier, in evaluation mode, on `device`.
        real: the training patches; their statistics are computed once, when they are first asked for.
        samples: synthetic patches; 0 for as many as real ones.
        seed: of noise and labels.
        device: where both networks are.
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
        """The FID."""
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
    """`count` labels in the shares of `labels`: whole copies of it, and a random part for the rest."""
    rest = numpy_rng(seed, "fid labels").permutation(labels)[: count % len(labels)]
    return np.concatenate([np.tile(labels, count // len(labels)), rest])


class ModelSelection:
    """The raw and the smoothed scores of the judged epochs, and the weights of the best one so far.

    Smoothed score, eq. 5: s_1 = d_1 and s_t = alpha s_(t-1) + (1 - alpha) d_t. Deviation A4-6: t = 1 is the first
    epoch that is judged. The best epoch is the one of the lowest smoothed score, of equal ones the earliest.

    Attributes:
        epochs, raw, smoothed: a value an epoch that was judged.
        best_epoch: 0 before the first.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.epochs: list[int] = []
        self.raw: list[float] = []
        self.smoothed: list[float] = []
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}

    def add(self, epoch: int, score: float, network: nn.Module) -> None:
        """Take in an epoch's score, and its weights if it is the best."""
        smoothed = self.alpha * self.smoothed[-1] + (1 - self.alpha) * score if self.smoothed else score
        if not self.smoothed or smoothed < min(self.smoothed):
            self.best_epoch = epoch
            self.best_weights = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
        self.epochs.append(epoch)
        self.raw.append(score)
        self.smoothed.append(smoothed)

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {name: value for name, value in vars(self).items() if name != "alpha"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        vars(self).update(state)
