"""The data-copying test of Meehan et al. 2020, over the whole space and cell by cell.

A generator that copies in one part of the space and underfits in another may pass a test over the whole space. The
paper therefore compares within cells, which k-means makes from the training patches, and weights them by their share of
held-out patches.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.cluster import KMeans
from torch import Tensor

from histoforge.core.seeds import derive_seed
from histoforge.metrics.compare import holm
from histoforge.metrics.features import nearest
from histoforge.metrics.results import Result

ALPHA = 0.01
NOTABLE_SHARE = 0.6
MIN_IN_CELL = 20
HELD_OUT_PER_CELL = 50
MAX_CELLS = 10
RESTARTS = 3
Names = NDArray[Any]


class CopyingCell(Result):
    """One part of the space.

    Attributes:
        name: a class name, or a number.
        n_synthetic, n_training, n_held_out: number of patches in the cell.
        nearer: probability that a synthetic patch is nearer to training than a held-out one is; None where there
            are too few patches.
        z: the Mann-Whitney z-score, negative where synthetic patches are nearer.
        p: one-sided p-value of `z` after Holm's correction over the cells.
    """

    name: str
    n_synthetic: int
    n_training: int
    n_held_out: int
    nearer: float | None = None
    z: float | None = None
    p: float | None = None


class CopyingByCell(Result):
    """The test over cells.

    Attributes:
        cells: in the order of their names.
        c_t: mean of the cells' scores, weighted by their held-out patches; a value far below 0 indicates copying. None
            where no cell has enough patches.
        p: one-sided p-value of `c_t`.
        compared: share of the held-out patches that lie in cells with enough patches.
        copied: names of the cells that indicate copying.
    """

    cells: list[CopyingCell]
    c_t: float | None
    p: float | None
    compared: float
    copied: list[str]


def copying_test(synthetic_to_training: Tensor, held_out_to_training: Tensor) -> tuple[float, float, float]:
    """Test whether synthetic patches [S] are nearer to training than held-out ones [H] (Meehan et al. 2020).

    Returns:
        The probability that a synthetic patch is nearer than a held-out one (ties count half), the Mann-Whitney z-score
        C_T (negative where synthetic patches are nearer), and its one-sided p-value.
    """
    first, second = synthetic_to_training.cpu().numpy(), held_out_to_training.cpu().numpy()
    ranks = stats.rankdata(np.concatenate([first, second]))
    n, m = len(first), len(second)
    statistic = ranks[:n].sum() - n * (n + 1) / 2
    _, ties = np.unique(ranks, return_counts=True)
    total = n + m
    variance = n * m / 12 * (total + 1 - float((ties.astype(float) ** 3 - ties).sum()) / (total * (total - 1)))
    score = (statistic - n * m / 2) / variance**0.5 if variance > 0 else 0.0
    return float(1 - statistic / (n * m)), float(score), float(stats.norm.cdf(score))


def copying_by_cell(features: Sequence[Tensor], cells: Sequence[Names]) -> CopyingByCell:
    """Run the test within each cell and compute the weighted mean C_T = sum P(c) z(c) / sum P(c).

    P(c) is the cell's share of the held-out patches; distances are measured to the training patches of the same cell.
    The paper leaves out cells with few generated patches. This function also leaves out cells with fewer than 20
    held-out patches or no training patch, because the z-score is normal only for samples of some size. If nothing is
    copied, the cells' scores are independent standard normals, so their weighted mean has the variance sum P(c)^2 /
    (sum P(c))^2. `p`, which the paper does not give, follows from it.

    Args:
        features: features of the synthetic, training and held-out patches, [S, D], [T, D] and [H, D].
        cells: the name of each patch's cell, [S], [T] and [H].
    """
    results = [
        _test_cell(str(name), [x[torch.from_numpy(names == name)] for x, names in zip(features, cells, strict=True)])
        for name in np.unique(np.concatenate([np.asarray(names) for names in cells]))
    ]
    adjusted = holm([cell.p for cell in results])
    results = [cell.model_copy(update={"p": p}) for cell, p in zip(results, adjusted, strict=True)]
    tested = [(cell.z, cell.n_held_out) for cell in results if cell.z is not None]
    scores, weights = np.array([z for z, _ in tested]), np.array([n for _, n in tested], float)
    c_t = float((scores * weights).sum() / weights.sum()) if tested else None
    std = float(np.sqrt((weights**2).sum()) / weights.sum()) if tested else 1.0
    return CopyingByCell(
        cells=results,
        c_t=c_t,
        p=None if c_t is None else float(stats.norm.cdf(c_t / std)),
        compared=float(weights.sum() / max(1, len(features[2]))),
        copied=[cell.name for cell in results if _indicates_copying(cell)],
    )


def kmeans_cells(features: Sequence[Tensor], seed: int) -> list[Names] | None:
    """Assign patches to the cells that k-means makes from the training patches, named '01', '02', …

    There is one cell per 50 held-out patches, at most 10 (the paper chooses the number by hand). The result is None
    where there would be only one cell.

    Args:
        features: features of the synthetic, training and held-out patches, [S, D], [T, D] and [H, D].
        seed: seed of the k-means restarts.

    Returns:
        The cell of each patch, str [S], [T] and [H].
    """
    synthetic, training, held_out = (matrix.cpu().numpy() for matrix in features)
    count = min(MAX_CELLS, min(len(synthetic), len(training), len(held_out)) // HELD_OUT_PER_CELL)
    if count < 2:
        return None
    random_state = derive_seed(seed, "copying cells") % 2**32
    clusters = KMeans(count, n_init=RESTARTS, random_state=random_state).fit(training)
    names = np.array([f"{number:02d}" for number in range(1, count + 1)])
    return [names[clusters.predict(points)] for points in (synthetic, training, held_out)]


def _test_cell(name: str, features: Sequence[Tensor]) -> CopyingCell:
    synthetic, training, held_out = features
    cell = CopyingCell(name=name, n_synthetic=len(synthetic), n_training=len(training), n_held_out=len(held_out))
    if min(len(synthetic), len(held_out)) < MIN_IN_CELL or not len(training):
        return cell
    nearer, z, p = copying_test(nearest(synthetic, training)[0], nearest(held_out, training)[0])
    return cell.model_copy(update={"nearer": nearer, "z": z, "p": p})


def _indicates_copying(cell: CopyingCell) -> bool:
    return cell.p is not None and cell.nearer is not None and cell.p < ALPHA and cell.nearer > NOTABLE_SHARE
