"""Feature matrices: a common form for NumPy and torch, Gram matrices, and distances computed in blocks."""

from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Features = Tensor | NDArray[Any]

BLOCK_ELEMENTS = 1 << 24
TIE_TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-13}


def as_features(features: Features) -> Tensor:
    """Convert features [N, D] to a torch tensor with enough precision for the metrics.

    On a CPU float32 stays float32. On a GPU it becomes float64, because a GPU may round float32 products to
    TensorFloat-32.

    Raises:
        ValueError: the features are not a matrix, or are not finite.
    """
    matrix = torch.as_tensor(features).detach()
    if matrix.ndim != 2:
        raise ValueError(f"features are a matrix [N, D], not {tuple(matrix.shape)}")
    if matrix.dtype != torch.float64:
        matrix = matrix.to(torch.float64 if matrix.is_cuda else torch.float32)
    if not bool(torch.isfinite(matrix).all()):
        raise ValueError("features hold values that are not finite")
    return matrix


def same_space(real: Features, fake: Features) -> tuple[Tensor, Tensor]:
    """Return both feature matrices on the device and in the dtype of the first.

    Raises:
        ValueError: they have different numbers of features.
    """
    first, second = as_features(real), as_features(fake)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"real and fake features have {first.shape[1]} and {second.shape[1]} dimensions")
    return first, second.to(first)


def gram(matrix: Tensor) -> Tensor:
    """Return `matrix @ matrix.T` [N, N].

    On a CPU the product is computed by NumPy, whose BLAS computes only one triangle of a symmetric product.
    """
    if matrix.is_cuda:
        return matrix @ matrix.T
    array = matrix.numpy()
    return torch.from_numpy(array @ array.T)


def squared_distance_blocks(queries: Tensor, points: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the squared Euclidean distances of all pairs, one block of rows [b, P] at a time.

    Distances are |q|^2 + |p|^2 - 2 q.p on centred features. Values below the rounding error are set to zero, so that
    equal features have distance zero. `nearest` tells such near copies apart.

    Yields:
        The rows of `queries` and their distances to all `points`.
    """
    for rows, squared, error in _rounded_distance_blocks(queries, points):
        yield rows, squared.masked_fill_(squared < error, 0.0)


def nearest(queries: Tensor, points: Tensor, exclude_self: bool = False) -> tuple[Tensor, Tensor]:
    """Return the distance [Q] of each query to its nearest point, and the index of the point, int64 [Q].

    Ties go to the first point.

    Points whose distances differ by no more than the rounding error of the matrix product are compared by the norms of
    their differences, so that the nearest of several near copies is chosen.

    Args:
        queries: [Q, D].
        points: [P, D].
        exclude_self: `queries` are `points`, and no point is its own neighbour.
    """
    blocks = []
    for rows, squared, error in _rounded_distance_blocks(queries, points):
        if exclude_self:
            _fill_diagonal(squared, rows)
        within_error = squared <= squared.amin(1, keepdim=True) + 2 * error
        blocks.append(_nearest_of_some(queries[rows], points, within_error))
    distances, indices = zip(*blocks, strict=True)
    return torch.cat(distances), torch.cat(indices)


def _nearest_of_some(queries: Tensor, points: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance [b] and index [b] of each query's nearest candidate; bool [b, P], at least one per query."""
    pairs = candidates.nonzero()
    at_once = max(1, BLOCK_ELEMENTS // max(1, points.shape[1]))
    exact = torch.cat([(queries[some[:, 0]] - points[some[:, 1]]).norm(dim=1) for some in pairs.split(at_once)])
    query, index = pairs.unbind(1)
    smallest = exact.new_full((len(queries),), torch.inf).scatter_reduce_(0, query, exact, "amin")
    best = exact == smallest[query]
    first = index.new_full((len(queries),), len(points)).scatter_reduce_(0, query[best], index[best], "amin")
    return smallest, first


def neighbour_radii(points: Tensor, neighbours: int) -> Tensor:
    """Return the squared distance of each point to its k-th nearest other point, [N]."""
    radii = []
    for rows, block in squared_distance_blocks(points, points):
        _fill_diagonal(block, rows)
        radii.append(block.kthvalue(neighbours, dim=1).values)
    return torch.cat(radii)


def _rounded_distance_blocks(queries: Tensor, points: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield rows of `queries`, their squared distances to all `points` [b, P], and bounds on rounding errors [b, P]."""
    centre = points.mean(0)
    queries, points = queries - centre, points - centre
    norms = points.square().sum(1)
    tolerance = TIE_TOLERANCE[points.dtype]
    step = max(1, BLOCK_ELEMENTS // max(1, len(points)))
    for start in range(0, len(queries), step):
        rows = slice(start, min(start + step, len(queries)))
        block = queries[rows]
        lengths = block.square().sum(1, keepdim=True) + norms
        yield rows, torch.addmm(lengths, block, points.T, alpha=-2), tolerance * lengths


def _fill_diagonal(block: Tensor, rows: slice) -> None:
    """Set the distances of `rows` to themselves to infinity, in place."""
    indices = torch.arange(rows.start, rows.stop, device=block.device)
    block[indices - rows.start, indices] = torch.inf
