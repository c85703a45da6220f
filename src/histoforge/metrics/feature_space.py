"""Nearest patches among the synthetic, training and held-out patches of a memorisation audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.metrics.features import Features, nearest, same_space

Kind = Literal["synthetic", "training", "held_out"]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Subset:
    """Patches of one kind: the given rows, int64 [n], or all of them."""

    kind: Kind
    rows: Rows | None = None


@dataclass(frozen=True)
class NearestPatches:
    """The nearest patch of each query.

    Attributes:
        distances: distance to it, float [Q].
        rows: its row among the points searched, int64 [Q].
    """

    distances: Tensor
    rows: Rows


class FeatureSpace(Protocol):
    """Features of the three kinds of patches, and the distance between them.

    Attributes:
        extractor: the name of the network that computed the features.
        views: number of views of each patch that are compared, such as flips; the nearest view counts.
    """

    extractor: str
    views: int

    def features(self, kind: Kind) -> Tensor:
        """Return the features of the unflipped patches, [N, D]."""
        ...

    def nearest(self, queries: Subset, points: Subset) -> NearestPatches:
        """Return the point nearest to each query; no patch is its own neighbour.

        Two subsets of one kind are either the same, or `points` are all patches of the kind.
        """
        ...


class EuclideanSpace:
    """Features compared by their Euclidean distance.

    Attributes:
        extractor: the name of the network that computed the features.
        views: 1.
    """

    views = 1

    def __init__(self, synthetic: Features, training: Features, held_out: Features, extractor: str) -> None:
        """Take the features, [S, D], [T, D] and [H, D].

        Raises:
            ValueError: they are not finite, or have different dimensions.
        """
        train, fakes = same_space(training, synthetic)
        _, held = same_space(train, held_out)
        self.extractor = extractor
        self._features: dict[Kind, Tensor] = {"synthetic": fakes, "training": train, "held_out": held}

    def features(self, kind: Kind) -> Tensor:
        """Return the features, [N, D]."""
        return self._features[kind]

    def nearest(self, queries: Subset, points: Subset) -> NearestPatches:
        """Return the point nearest to each query; ties go to the first one."""
        if queries.kind != points.kind:
            distances, rows = nearest(self._of(queries), self._of(points))
        else:
            distances, rows = nearest(self._of(points), self._of(points), exclude_self=True)
            if points.rows is None and queries.rows is not None:
                selected = torch.from_numpy(queries.rows).to(rows.device)
                distances, rows = distances[selected], rows[selected]
        return NearestPatches(distances, rows.cpu().numpy())

    def _of(self, subset: Subset) -> Tensor:
        features = self._features[subset.kind]
        return features if subset.rows is None else features[torch.from_numpy(subset.rows).to(features.device)]


def all_features(space: FeatureSpace) -> Sequence[Tensor]:
    """Return the features of synthetic, training and held-out patches, [S, D], [T, D] and [H, D]."""
    return space.features("synthetic"), space.features("training"), space.features("held_out")
