"""Kernel Inception distance (Binkowski et al. 2018): unbiased squared MMD with the kernel (x.y / D + 1)^3.

Unlike the Frechet distance it has no bias towards small sample sizes, and it may be below zero.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from histoforge.metrics.features import BLOCK_ELEMENTS, Features, gram, same_space


@dataclass(frozen=True)
class SubsetDistance:
    """The distance over random subsets.

    Attributes:
        mean: what clean-fid calls KID.
        deviation: between subsets; None where all subsets are the same samples.
        subset_size: samples of each side in a subset.
    """

    mean: float
    deviation: float | None
    subset_size: int


def kernel_distance(real: Features, fake: Features) -> float:
    """Unbiased squared MMD between all samples [N, D] and [M, D].

    Raises:
        ValueError: the numbers of dimensions differ, or there are fewer than two samples.
    """
    first, second = _checked(real, fake)
    within_real = (_kernel_sum(first, first) - _diagonal(first)) / (len(first) * (len(first) - 1))
    within_fake = (_kernel_sum(second, second) - _diagonal(second)) / (len(second) * (len(second) - 1))
    return within_real + within_fake - 2 * _kernel_sum(first, second) / (len(first) * len(second))


def subset_kernel_distance(
    real: Features, fake: Features, n_subsets: int = 100, max_subset_size: int = 1000, seed: int = 0
) -> SubsetDistance:
    """The same over random subsets: clean-fid's `kernel_distance(real, fake)` after `np.random.seed(seed)`.

    Raises:
        ValueError: the numbers of dimensions differ, or there are fewer than two samples.
    """
    first, second = _checked(real, fake)
    size = min(len(first), len(second), max_subset_size)
    if size == len(first) == len(second):
        return SubsetDistance(kernel_distance(first, second), None, size)
    rng = np.random.RandomState(seed)  # the generator that clean-fid draws its subsets from
    buffers = [first.new_empty(size, size) for _ in range(2)]
    distances = []
    for _ in range(n_subsets):
        fakes = second[torch.from_numpy(rng.choice(len(second), size, replace=False)).to(second.device)]
        reals = first[torch.from_numpy(rng.choice(len(first), size, replace=False)).to(first.device)]
        within = sum(_cubes(gram(side, buffers[0]), side, buffers[1]) - _diagonal(side) for side in (fakes, reals))
        between = _cubes(torch.mm(fakes, reals.T, out=buffers[0]), fakes, buffers[1])
        distances.append((within / (size - 1) - 2 * between / size) / size)
    return SubsetDistance(float(np.mean(distances)), float(np.std(distances)), size)


def _checked(real: Features, fake: Features) -> tuple[Tensor, Tensor]:
    first, second = same_space(real, fake)
    if min(len(first), len(second)) < 2:
        raise ValueError("a kernel distance needs at least two samples of each side")
    return first, second


def _kernel_sum(first: Tensor, second: Tensor) -> float:
    """Sum of the kernel over all pairs, in blocks of rows."""
    step = max(1, BLOCK_ELEMENTS // len(second))
    return sum(_cubes(block @ second.T, block) for block in first.split(step))


def _cubes(products: Tensor, features: Tensor, buffer: Tensor | None = None) -> float:
    """Sum of (x.y / D + 1)^3 over products x.y [n, m], which are overwritten; rows are added in float64."""
    kernel = products.div_(features.shape[1]).add_(1)
    cubes = torch.mul(kernel, kernel, out=buffer).mul_(kernel)
    return float(cubes.sum(1).double().sum())


def _diagonal(features: Tensor) -> float:
    """Sum of the kernel of each sample with itself."""
    return float((features.double().square().sum(1) / features.shape[1] + 1).pow(3).sum())
