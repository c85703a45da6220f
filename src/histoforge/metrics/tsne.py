"""Two-dimensional maps of features: PCA to 50 dimensions, then t-SNE (van der Maaten and Hinton 2008)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.metrics.features import Features, as_features

PCA_DIMENSIONS = 50
PERPLEXITY = 30.0


@dataclass(frozen=True)
class Embedded:
    """One group of features on the common map.

    Attributes:
        rows: rows of the group that are shown, int64 [n].
        points: coordinates, float64 [n, 2].
    """

    rows: NDArray[np.int64]
    points: NDArray[np.float64]


def embed(groups: Mapping[str, Features], max_per_group: int = 500, seed: int = 0) -> dict[str, Embedded]:
    """Embed groups of features [N, D] in one map; the same input gives the same map.

    Args:
        groups: features by name, such as real, selected and rejected patches of a class.
        max_per_group: larger groups are subsampled to this size.

    Raises:
        ValueError: there are fewer than five features in all, or their dimensions differ.
    """
    rows = {name: _subsample(len(features), max_per_group, seed, name) for name, features in groups.items()}
    shown = [as_features(features[rows[name]]).cpu().double().numpy() for name, features in groups.items()]
    stacked = np.concatenate(shown)
    if len(stacked) < 5:
        raise ValueError("a map needs at least five features")
    random_state = derive_seed(seed, "tsne") % 2**32
    dimensions = min(PCA_DIMENSIONS, *stacked.shape)
    reduced = PCA(dimensions, svd_solver="full").fit_transform(stacked)
    perplexity = min(PERPLEXITY, (len(stacked) - 1) / 3)
    points = TSNE(perplexity=perplexity, init="pca", random_state=random_state).fit_transform(reduced)
    ends = np.cumsum([len(group) for group in shown])[:-1]
    return {
        name: Embedded(rows[name], coordinates.astype(np.float64))
        for name, coordinates in zip(groups, np.split(points, ends), strict=True)
    }


def _subsample(count: int, maximum: int, seed: int, name: str) -> NDArray[np.int64]:
    if count <= maximum:
        return np.arange(count)
    return np.sort(numpy_rng(seed, "tsne", name).choice(count, maximum, replace=False))
