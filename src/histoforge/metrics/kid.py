"""Kernel Inception distance (Binkowski et al. 2018): unbiased squared MMD with the kernel (x.y / D + 1)^3.

Unlike the Frechet distance, the estimate is not biased by the sample size, and it may be below zero.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from histoforge.metrics.features import Features, same_space

ROWS, COLUMNS = 512, 16384


@dataclass(frozen=True)
class KernelDistances:
    """The distance over all samples and over random subsets.

    Attributes:
        value: distance over all samples, the estimate with the least variance.
        subset_mean: mean over the subsets, which clean-fid calls KID.
        subset_deviation: standard deviation between the subsets; None where every subset holds all samples.
        subset_size: number of samples per side in a subset.
    """

    value: float
    subset_mean: float
    subset_deviation: float | None
    subset_size: int


def kernel_distances(
    real: Features, fake: Features, n_subsets: int = 100, max_subset_size: int = 1000, seed: int = 0
) -> KernelDistances:
    """Compute the unbiased squared MMD of features [N, D] and [M, D], and clean-fid's subset protocol in the same pass.

    The subsets are those of clean-fid's `kernel_distance(real, fake)` after `np.random.seed(seed)`. Each kernel value
    is computed once: if S holds the subsets as columns of 0 and 1, their sums are the diagonal of S.T K S.

    Raises:
        ValueError: the numbers of dimensions differ, or there are fewer than two samples.
    """
    reals, fakes = (_with_offset(side) for side in same_space(real, fake))
    if min(len(reals), len(fakes)) < 2:
        raise ValueError("a kernel distance needs at least two samples of each side")
    size = min(len(reals), len(fakes), max_subset_size)
    in_reals, in_fakes = _subsets(reals, fakes, n_subsets, size, seed)
    # the last column holds all samples
    real_counts, fake_counts = (marks.sum(0, dtype=torch.float64) for marks in (in_reals, in_fakes))
    distances = (
        _sum_within(reals, in_reals) / (real_counts * (real_counts - 1))
        + _sum_within(fakes, in_fakes) / (fake_counts * (fake_counts - 1))
        - 2 * _sum_between(reals, in_reals, fakes, in_fakes) / (real_counts * fake_counts)
    ).cpu()
    value, subsets = float(distances[-1]), distances[:-1]
    same = size == len(reals) == len(fakes)
    if same or not n_subsets:
        return KernelDistances(value, value, None, size)
    return KernelDistances(value, float(subsets.mean()), float(subsets.std(correction=0)), size)


def kernel_distance(real: Features, fake: Features) -> float:
    """Return the unbiased squared MMD between all samples [N, D] and [M, D].

    Raises:
        ValueError: the numbers of dimensions differ, or there are fewer than two samples.
    """
    return kernel_distances(real, fake, n_subsets=0).value


def _with_offset(features: Tensor) -> Tensor:
    """Return [x / sqrt(D), 1], whose inner products are x.y / D + 1."""
    return pad(features / features.shape[1] ** 0.5, (0, 1), value=1.0)


def _subsets(reals: Tensor, fakes: Tensor, count: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the subset memberships, bool [N, count + 1] and [M, count + 1]; the last column holds all samples.

    clean-fid draws a subset of its second argument, the fakes, before one of its first.
    """
    rng = np.random.RandomState(seed)  # the generator that clean-fid draws from
    members: dict[str, list[NDArray[np.int64]]] = {"fake": [], "real": []}
    for _ in range(count):
        members["fake"].append(rng.choice(len(fakes), size, replace=False))
        members["real"].append(rng.choice(len(reals), size, replace=False))
    marked = []
    for side, rows in ((reals, members["real"]), (fakes, members["fake"])):
        marks = side.new_zeros(len(side), count + 1, dtype=torch.bool)
        marks[:, -1] = True
        for column, chosen in enumerate(rows):
            marks[torch.from_numpy(chosen).to(side.device), column] = True
        marked.append(marks)
    return marked[0], marked[1]


def _sum_within(features: Tensor, members: Tensor) -> Tensor:
    """Sum the kernel over all ordered pairs of different members of each subset, float64 [subsets].

    The kernel is symmetric, so only the part right of the diagonal is computed, one band of rows at a time.
    """
    total = features.new_zeros(members.shape[1], dtype=torch.float64)
    for start in range(0, len(features), ROWS):
        band, rows = features[start : start + ROWS], members[start : start + ROWS]
        square = (band @ band.T).pow_(3).fill_diagonal_(0)
        right_sums = _kernel_sums(band, features[start + ROWS :], members[start + ROWS :])
        total += (rows * ((square @ rows.to(square)).double() + 2 * right_sums)).sum(0)
    return total


def _sum_between(first: Tensor, in_first: Tensor, second: Tensor, in_second: Tensor) -> Tensor:
    """Sum the kernel over all pairs with one member from each side, float64 [subsets]."""
    total = first.new_zeros(in_first.shape[1], dtype=torch.float64)
    for block, members in zip(first.split(ROWS), in_first.split(ROWS), strict=True):
        total += (members * _kernel_sums(block, second, in_second)).sum(0)
    return total


def _kernel_sums(band: Tensor, columns: Tensor, members: Tensor) -> Tensor:
    """Sum the kernel of each row of a band over the columns in each subset, float64 [b, subsets]."""
    sums = band.new_zeros(len(band), members.shape[1], dtype=torch.float64)
    for block, marks in zip(columns.split(COLUMNS), members.split(COLUMNS), strict=True):
        sums += ((band @ block.T).pow_(3) @ marks.to(band)).double()
    return sums
