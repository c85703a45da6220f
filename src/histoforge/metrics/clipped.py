"""Clipped density and clipped coverage (Salvy, Talbot and Thirion 2025, arXiv 2507.01761).

Density and coverage (Naeem et al. 2020) depend on a few outliers, whose balls are large, and their values for perfect
samples vary. Here each sample counts at most once, radii are cut at their median, and both scores are calibrated: 1 is
what samples of the real distribution reach, and a score of s is that of a set with a share s of good samples and
otherwise bad ones.

Source of the definitions: the paper and the authors' code (github.com/nicolassalvy/ClippedDensityCoverage, commit
9920dae). Distances on the boundary: as there, `<=` for density and `<` for coverage.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, logsumexp
from torch import Tensor

from histoforge.metrics.features import Features, neighbour_radii, same_space, squared_distance_blocks


def clipped_density(real: Features, fake: Features, neighbours: int = 5) -> float:
    """Return the clipped density of features [M, D] among real ones [N, D], in [0, 1].

    The fidelity of a sample is the number of real balls that hold it, divided by k and at most 1. A ball reaches to the
    k-th nearest other real sample, but not farther than the median of these distances. The mean fidelity of the fakes
    is divided by that of the real samples among each other, and clipped to 1.

    Raises:
        ValueError: the numbers of dimensions differ, or there are no more real samples than `neighbours`.
    """
    reals, fakes = _checked(real, fake, neighbours)
    radii = neighbour_radii(reals, neighbours)
    radii = radii.clamp(max=radii.sqrt().quantile(0.5).square())  # the median of distances, not of their squares
    of_reals = _mean_fidelity(reals, reals, radii, neighbours, same=True)
    return min(1.0, _mean_fidelity(fakes, reals, radii, neighbours) / of_reals) if of_reals else 0.0


def clipped_coverage(real: Features, fake: Features, neighbours: int = 5) -> float:
    """Return the clipped coverage of real samples [N, D] by fakes [M, D], in [0, 1].

    A real sample's ball reaches to its k-th nearest other real sample; its coverage is the number of fakes in it,
    divided by k and at most 1. The mean over the real samples is mapped to the share of fakes that, if they came from
    the real distribution and the others lay far away, would have this mean as its expectation.

    Raises:
        ValueError: the numbers of dimensions differ, or there are no more real samples than `neighbours`.
    """
    reals, fakes = _checked(real, fake, neighbours)
    radii = neighbour_radii(reals, neighbours)
    inside = torch.zeros(len(reals), dtype=torch.int64, device=reals.device)
    for rows, squared in squared_distance_blocks(reals, fakes):
        inside[rows] = (squared < radii[rows, None]).sum(1)
    mean = float((inside.clamp(max=neighbours).double() / neighbours).mean())
    expected = _expected_coverage(neighbours, len(reals), len(fakes))
    return int(np.searchsorted(expected, mean)) / len(expected)


def _checked(real: Features, fake: Features, neighbours: int) -> tuple[Tensor, Tensor]:
    reals, fakes = same_space(real, fake)
    if len(reals) <= neighbours or not len(fakes):
        raise ValueError(f"{neighbours} neighbours need more than {neighbours} real samples, and at least one fake")
    return reals, fakes


def _mean_fidelity(samples: Tensor, reals: Tensor, radii: Tensor, neighbours: int, same: bool = False) -> float:
    """Return the mean number of balls that hold a sample, divided by k and at most 1; with `same`, not its own ball."""
    counts = torch.full((len(samples),), -int(same), dtype=torch.int64, device=samples.device)
    for rows, squared in squared_distance_blocks(reals, samples):
        counts += (squared <= radii[rows, None]).sum(0)
    return float((counts.clamp(max=neighbours).double() / neighbours).mean())


@lru_cache(maxsize=16)
def _expected_coverage(neighbours: int, reals: int, fakes: int) -> NDArray[np.float64]:
    """Return the expected mean coverage by m samples of the real distribution, for m = 0 … M, float64 [M + 1].

    The k-th smallest of N - 1 distances has, in probability mass, the distribution Beta(k, N - k), so that the number
    of m samples in a ball is beta-binomial: P(j) = C(m, j) B(k + j, N + m - k - j) / B(k, N - k). The expected
    coverage is E[min(j, k)] / k. As in the authors' code, values for m < k count as 0.
    """
    k, count = neighbours, reals
    expected = np.zeros(fakes + 1)
    log_factorials = gammaln(np.arange(max(reals, fakes) + fakes + 2) + 1)
    for m in range(k, fakes + 1):
        short = np.arange(k)  # E[min(j, k)] = k - sum over j < k of (k - j) P(j)
        log_binomial = log_factorials[m] - log_factorials[short] - log_factorials[m - short]
        log_p = log_binomial + betaln(k + short, count + m - k - short) - betaln(k, count - k)
        expected[m] = 1 - float(np.exp(logsumexp(log_p, b=(k - short) / k)))
    return expected
