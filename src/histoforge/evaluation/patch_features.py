"""Features of synthetic and real patches, the one pass that all comparisons of them share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.core.seeds import numpy_rng
from histoforge.evaluation.realism import REFERENCE_PATCHES
from histoforge.evaluation.synthetic_sets import draw_rows
from histoforge.metrics.corruptions import reference_copies
from histoforge.metrics.embeddings import patch_features
from histoforge.metrics.extract import Extractor
from histoforge.patches import PatchSet


@dataclass(frozen=True)
class ComparisonSettings:
    """Settings of the comparison of synthetic with real patches.

    Attributes:
        metric_patches: maximum number of patches of each kind for metrics and audit, drawn by seed.
        copy_patches: maximum number of synthetic patches searched for changed copies of training patches.
        map_patches: maximum number of patches of each kind on the t-SNE map.
        shown_pairs: number of closest pairs that the audit returns.
        neighbours: k of precision, recall, density and coverage.
        batch_size: number of patches computed at once.
        seed: seed of all random choices.
        device: where extractors compute.
    """

    metric_patches: int
    copy_patches: int
    map_patches: int
    shown_pairs: int
    neighbours: int
    batch_size: int
    seed: int
    device: torch.device


@dataclass(frozen=True)
class RealSets:
    """Real training patches and held-out ones, a sample of each if there are many."""

    train: PatchSet
    held_out: PatchSet

    @classmethod
    def sample(cls, train: PatchSet, held_out: PatchSet, settings: ComparisonSettings) -> "RealSets":
        """Draw at most `metric_patches` of each."""

        def drawn(patches: PatchSet, purpose: str) -> PatchSet:
            return patches.where(draw_rows(len(patches), settings.metric_patches, settings.seed, purpose))

        return cls(drawn(train, "train"), drawn(held_out, "held out"))


@dataclass(frozen=True)
class PatchFeatures:
    """Features [N, D] of all patches, computed by one extractor; `corrupted` by the name of the corruption."""

    extractor: str
    train: NDArray[np.float32]
    held_out: NDArray[np.float32]
    synthetic: NDArray[np.float32]
    corrupted: Mapping[str, NDArray[np.float32]]


def corrupted_copies(held_out: PatchSet, seed: int) -> dict[str, NDArray[np.uint8]]:
    """Return blurred and shuffled copies of held-out patches, which show what a metric takes for real."""
    images = held_out.images(draw_rows(len(held_out), REFERENCE_PATCHES, seed, "corrupted"))
    return reference_copies(images, numpy_rng(seed, "corrupted"))


def extract_sets(
    extractor: Extractor,
    real: RealSets,
    synthetic: PatchSet,
    corrupted: Mapping[str, NDArray[np.uint8]],
    settings: ComparisonSettings,
) -> PatchFeatures:
    """Compute all features of one extractor, each patch once."""

    def features(patches: PatchSet | NDArray[np.uint8], name: str) -> NDArray[np.float32]:
        label = f"features of {name} patches"
        return patch_features(extractor, patches, settings.device, batch_size=settings.batch_size, label=label)

    held_out = features(real.held_out, "held-out")
    return PatchFeatures(
        extractor.name,
        train=features(real.train, "training") if len(real.train) else held_out[:0],
        held_out=held_out,
        synthetic=features(synthetic, "synthetic"),
        corrupted={name: features(copies, name) for name, copies in corrupted.items()},
    )
