"""Choice of the epoch whose weights become the generator: the lowest smoothed FID (Xue et al. 2021, section 3.1.2).

Deviation A4-16: a classifier may find noise nearer to real patches than patches with slightly wrong colours. Epochs are
therefore also scored by pixel statistics, which overrule an extractor that fails its check or contradicts them.
"""

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
from histoforge.metrics.pixel_statistics import PixelStatistics
from histoforge.patches.patchset import PatchSet

FID, PIXEL_FID = "fid", "fid_pixels"
"""Names of the scores: FID by the extractor's features, and by pixel statistics."""
TINY = 1e-12
CONTRADICTION = 2.0
"""Ratio of pixel statistics' FIDs from which they contradict the choice of the extractor."""


class CheckpointScorer(Protocol):
    """Scores an epoch's generator.

    Attributes:
        distrust: why the FID of the extractor must not choose an epoch; '' if it may.
    """

    distrust: str

    def score(self, generator: Generator) -> dict[str, float]:
        """Return `FID` and `PIXEL_FID`, lower is better; empty to choose no epoch."""


class FidScorer:
    """FID of a generator against the training patches (eq. 4), by the in-domain extractor and by pixel statistics.

    Each epoch is scored on the same noise and the same labels, which follow the classes' shares. Deviation A4-6: the
    paper does not say which real patches it compares with; here they are always the training patches.

    Args:
        extractor: the in-domain classifier, in evaluation mode, on `device`.
        real: the training patches; their statistics are computed once, on first use.
        samples: number of synthetic patches; 0 for as many as real ones.
        seed: seed of noise and labels.
        device: device of both networks.
        dtype: bfloat16 or float32, for the extractor on both sides.
        distrust: why the extractor must not choose an epoch; '' if it may.
    """

    def __init__(
        self,
        extractor: Extractor,
        real: PatchSet,
        samples: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        distrust: str = "",
    ) -> None:
        self.extractor, self.device, self.seed = extractor, device, derive_seed(seed, "fid")
        self.precision: Precision = "bfloat16" if dtype == torch.bfloat16 else "float32"
        self.labels = share_labels(real.labels, samples or len(real), seed)
        self.distrust = distrust
        self._real = real

    def score(self, generator: Generator) -> dict[str, float]:
        """Return both FIDs."""
        patches = draw(generator, self.labels, self.seed)
        return {
            name: reference.distance(self._features(extractor, patches))
            for name, (extractor, reference) in self._references.items()
        }

    @cached_property
    def _references(self) -> dict[str, tuple[Extractor, FrechetReference]]:
        extractors: dict[str, Extractor] = {FID: self.extractor, PIXEL_FID: PixelStatistics(self._real)}
        return {
            name: (extractor, FrechetReference(self._features(extractor, self._real)))
            for name, extractor in extractors.items()
        }

    def _features(self, extractor: Extractor, patches: PatchSet | NDArray[np.uint8]) -> NDArray[np.float32]:
        return extract_features(extractor, patches, self.device, precision=self.precision, label="FID features")


def share_labels(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return `count` labels in the proportions of `labels`: whole copies of it, and a random part for the rest."""
    remainder = numpy_rng(seed, "fid labels").permutation(labels)[: count % len(labels)]
    return np.concatenate([np.tile(labels, count // len(labels)), remainder])


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


def contradiction(fid: ModelSelection, pixels: ModelSelection, distrust: str = "") -> str:
    """Return why pixel statistics choose the epoch instead of the extractor, one sentence; '' if they do not.

    They do so if the extractor failed its check, or if they contradict it: at the extractor's epoch, their smoothed FID
    is more than twice that of their own best epoch, and the extractor's smoothed FID loses less by going there, so that
    the product of both falls.

    Args:
        fid, pixels: scores of the same epochs by the extractor and by pixel statistics.
        distrust: what the extractor gets wrong; '' if it passed its check.
    """
    if not (fid.epochs and pixels.epochs):
        return ""
    if distrust:
        return distrust_note(distrust)
    here, there = fid.epochs.index(fid.best_epoch), fid.epochs.index(pixels.best_epoch)
    loss = pixels.smoothed[here] / max(pixels.smoothed[there], TINY)
    gain = fid.smoothed[there] / max(fid.smoothed[here], TINY)
    if loss <= max(CONTRADICTION, gain):
        return ""
    return (
        f"By the extractor's FID, epoch {fid.best_epoch} is best, but its pixel statistics are {loss:.1f} times as far "
        f"from those of real patches as those of epoch {pixels.best_epoch}: epoch {pixels.best_epoch} was kept."
    )


def distrust_note(distrust: str) -> str:
    """Return why pixel statistics choose the epoch, given what the extractor gets wrong; '' if nothing."""
    return f"{distrust} Pixel statistics chose the epoch instead." if distrust else ""
