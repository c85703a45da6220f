"""The Frechet distance between two feature distributions (Heusel et al. 2017, eq. 6)."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from histoforge.metrics.features import BLOCK_ELEMENTS, Features, as_features, gram


@dataclass(frozen=True)
class GaussianStats:
    """Mean and covariance of features.

    Attributes:
        count: number of samples N.
        mean: float64 [D].
        covariance: float64 [D, D], divided by N - 1.
        factor: float64 [N, D] with factor.T @ factor = covariance, kept where N < D: the covariance then has lower
            rank, and the distance is computed through N x N matrices.
    """

    count: int
    mean: Tensor
    covariance: Tensor
    factor: Tensor | None = None

    @classmethod
    def of(cls, features: Features) -> "GaussianStats":
        """Compute the statistics of features [N, D], as sums over blocks of them.

        Raises:
            ValueError: there are fewer than two samples.
        """
        matrix = as_features(features)
        count, dimensions = matrix.shape
        if count < 2:
            raise ValueError("a covariance needs at least two samples")
        blocks = matrix.split(max(dimensions, BLOCK_ELEMENTS // max(1, dimensions)))
        mean = torch.stack([block.double().sum(0) for block in blocks]).sum(0) / count
        covariance = mean.new_zeros(dimensions, dimensions)
        for block in blocks:
            factor = (block.double() - mean).div_((count - 1) ** 0.5)
            covariance += gram(factor.T)
        return cls(count, mean, covariance, factor if count < dimensions else None)


class FrechetReference:
    """The real side of the distance; its factor is computed once and used for many generated sides.

    >>> reference = FrechetReference(real_features)
    >>> reference.distance(features_of_this_epoch)
    """

    def __init__(self, real: Features | GaussianStats) -> None:
        self.stats = real if isinstance(real, GaussianStats) else GaussianStats.of(real)

    @cached_property
    def _factor(self) -> Tensor:
        return _factor(self.stats.covariance) if self.stats.factor is None else self.stats.factor

    def distance(self, fake: Features | GaussianStats) -> float:
        """Return the squared Frechet distance |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), at least 0.

        The eigenvalues of S1 S2 are those of the symmetric F1 S2 F1.T, where F1.T F1 = S1, so the trace of the square
        root is the sum of their square roots. F1 is a Cholesky factor, or the centred samples where there are fewer of
        them than dimensions.

        Raises:
            ValueError: the numbers of dimensions differ, or there are fewer than two samples.
        """
        other = fake if isinstance(fake, GaussianStats) else GaussianStats.of(fake)
        real = self.stats
        if real.mean.shape != other.mean.shape:
            raise ValueError(f"real and fake features have {len(real.mean)} and {len(other.mean)} dimensions")
        mean, covariance = other.mean.to(real.mean), other.covariance.to(real.mean)
        distance = (real.mean - mean).square().sum() + real.covariance.trace() + covariance.trace()
        factor = None if other.factor is None else other.factor.to(real.mean)
        if factor is not None and (real.factor is None or len(factor) < len(real.factor)):
            product = _sandwich(factor, real.covariance, real.factor)
        else:
            product = _sandwich(self._factor, covariance, factor)
        roots = torch.linalg.eigvalsh(product).clamp_(min=0).sqrt_()
        return max(0.0, float(distance - 2 * roots.sum()))


def frechet_distance(real: Features | GaussianStats, fake: Features | GaussianStats) -> float:
    """Return the squared Frechet distance between features [N, D] and [M, D], or between their statistics.

    Raises:
        ValueError: the numbers of dimensions differ, or there are fewer than two samples.
    """
    return FrechetReference(real).distance(fake)


def _sandwich(factor: Tensor, covariance: Tensor, covariance_factor: Tensor | None) -> Tensor:
    """Return F S F.T, symmetric [n, n]; the factor of S is used where there is one, which keeps small eigenvalues."""
    if covariance_factor is not None:
        return gram(factor @ covariance_factor.T)
    return factor @ covariance @ factor.T


def _factor(covariance: Tensor) -> Tensor:
    """Return F with F.T F = covariance: Cholesky, or eigenvectors where the covariance is not positive definite."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not int(failed):
        return lower.T
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
    return (vectors[:, kept] * values[kept].sqrt()).T
