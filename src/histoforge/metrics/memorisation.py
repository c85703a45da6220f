"""Audit of whether a generator copied its training patches.

The audit combines four tests: exact copies of pixels; whether a synthetic patch lies nearer to training than to
held-out patches; whether synthetic patches lie nearer to training patches than held-out real ones do (Meehan et al.
2020, over the whole space, within cells and within classes); and authenticity (Alaa et al. 2022).

Held-out patches come from other patients, so even a generator that copies nothing lies nearer to the patients that it
was trained on. An extractor that was trained on the same patches is biased in the same direction. The audit therefore
shows the closest pairs for visual inspection.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.compare import p_text
from histoforge.metrics.copying import (
    ALPHA,
    NOTABLE_SHARE,
    CopyingByCell,
    Names,
    copying_by_cell,
    copying_test,
    kmeans_cells,
)
from histoforge.metrics.features import Features, nearest, same_space
from histoforge.metrics.results import Result

FEWEST_PATCHES = 30


class ClosePair(Result):
    """A synthetic patch and the training patch nearest to it.

    Attributes:
        synthetic, training, held_out: rows in the given sets; `held_out` is the nearest held-out real patch.
        distance: distance to the training patch in the extractor's features.
        held_out_distance: distance to the held-out patch.
    """

    synthetic: int
    training: int
    distance: float
    held_out: int
    held_out_distance: float


class MemorisationAudit(Result):
    """Results of the memorisation audit.

    Attributes:
        extractor: the network in whose features distances are measured.
        n_synthetic, n_training, n_held_out: number of patches given.
        n_compared: number of training patches compared, equal to that of held-out patches.
        closer_to_training: share of synthetic patches nearer to a training than to a held-out patch; 0.5 is expected of
            a generator that learnt the distribution and of patients who do not differ.
        median_to_training, median_to_held_out: median distance of synthetic patches to the nearest training and
            held-out patch.
        median_held_out_to_training: median distance of held-out real patches to the nearest training patch.
        nearer_than_held_out: probability that a synthetic patch is nearer to training than a held-out real one is; a
            value above 0.5 indicates copying.
        c_t: Meehan's statistic, a standard normal if nothing is copied; a value far below 0 indicates copying.
        p: one-sided p-value of `c_t`.
        authenticity: share of synthetic patches that are farther from their nearest training patch than that patch is
            from its own nearest other training patch.
        duplicates: pairs (synthetic row, training row) with the same pixels; None if no pixels were given.
        closest: the closest pairs, nearest first.
        copied: whether the audit indicates copying.
        enough: whether there are enough patches for the tests.
        verdict: the result in one sentence.
        cells: Meehan's statistic within cells of the space; None where there are too few patches for two cells.
        by_class: the same within classes; None if no classes were given.
    """

    extractor: str
    n_synthetic: int
    n_training: int
    n_held_out: int
    n_compared: int
    closer_to_training: float
    median_to_training: float
    median_to_held_out: float
    median_held_out_to_training: float
    nearer_than_held_out: float
    c_t: float
    p: float
    authenticity: float
    duplicates: list[tuple[int, int]] | None
    closest: list[ClosePair]
    copied: bool
    enough: bool
    verdict: str
    cells: CopyingByCell | None = None
    by_class: CopyingByCell | None = None


def audit_memorisation(
    synthetic: Features,
    training: Features,
    held_out: Features,
    extractor: str,
    *,
    pixels: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
    classes: tuple[Names, Names, Names] | None = None,
    seed: int = 0,
    n_closest: int = 8,
) -> MemorisationAudit:
    """Audit synthetic features against training and held-out real ones, [S, D], [T, D] and [H, D].

    Args:
        extractor: the name of the network that made the features.
        pixels: synthetic and training patches, uint8 [S, H, W, 3] and [T, H, W, 3], searched for exact copies.
        classes: class names of synthetic, training and held-out patches, str [S], [T] and [H].
        seed: seed of the cells and of the subsample that makes training and held-out patches equal in number.
        n_closest: number of closest pairs to return; each synthetic patch appears once.

    Raises:
        ValueError: features are not finite or have different dimensions, or there are fewer than two patches of a kind.
    """
    train, fakes = same_space(training, synthetic)
    train, held = same_space(train, held_out)
    if min(len(train), len(fakes), len(held)) < 2:
        raise ValueError("an audit needs at least two synthetic, training and held-out patches")
    n = min(len(train), len(held))
    to_train = nearest(fakes, _subsample(train, n, seed, "training"))[0]
    to_held = nearest(fakes, _subsample(held, n, seed, "held out"))[0]
    to_all, place = nearest(fakes, train)
    held_to_train = nearest(held, train)[0]
    chance, c_t, p = copying_test(to_all, held_to_train)
    spaces = (fakes, train, held)
    duplicates = None if pixels is None else exact_duplicates(*pixels)
    closer = float(((to_train < to_held).double() + (to_train == to_held).double() / 2).mean())
    enough = min(len(fakes), n) >= FEWEST_PATCHES
    copied = bool(duplicates) or (enough and p < ALPHA and chance > NOTABLE_SHARE)
    return MemorisationAudit(
        extractor=extractor,
        n_synthetic=len(fakes),
        n_training=len(train),
        n_held_out=len(held),
        n_compared=n,
        closer_to_training=closer,
        median_to_training=float(to_train.median()),
        median_to_held_out=float(to_held.median()),
        median_held_out_to_training=float(held_to_train.median()),
        nearer_than_held_out=chance,
        c_t=c_t,
        p=p,
        authenticity=float((to_all > nearest(train, train, exclude_self=True)[0][place]).double().mean()),
        duplicates=duplicates,
        closest=_closest(fakes, held, to_all, place, n_closest),
        copied=copied,
        enough=enough,
        verdict=_verdict(copied, enough, len(duplicates or []), closer, chance, p, len(fakes), n),
        cells=_by_cell(spaces, kmeans_cells(spaces, seed)),
        by_class=_by_cell(spaces, classes),
    )


def exact_duplicates(synthetic: NDArray[np.uint8], training: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return pairs (synthetic row, first training row) with equal pixels, of uint8 [S, H, W, 3] and [T, H, W, 3]."""
    known: dict[bytes, int] = {}
    for row, patch in enumerate(training):
        known.setdefault(_digest(patch), row)
    found = ((row, known.get(_digest(patch))) for row, patch in enumerate(synthetic))
    return [(row, match) for row, match in found if match is not None]


def _digest(patch: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(patch.tobytes(), digest_size=16).digest()


def _subsample(features: Tensor, kept: int, seed: int, purpose: str) -> Tensor:
    rows = numpy_rng(seed, "memorisation", purpose).choice(len(features), kept, replace=False)
    return features[torch.from_numpy(np.sort(rows)).to(features.device)]


def _by_cell(spaces: Sequence[Tensor], cells: Sequence[Names] | None) -> CopyingByCell | None:
    return None if cells is None else copying_by_cell(spaces, cells)


def _closest(fakes: Tensor, held: Tensor, distances: Tensor, places: Tensor, count: int) -> list[ClosePair]:
    rows = distances.argsort(stable=True)[:count]
    held_distances, held_places = nearest(fakes[rows], held)
    columns = (rows, places[rows], distances[rows], held_places, held_distances)
    return [
        ClosePair(synthetic=s, training=t, distance=d, held_out=h, held_out_distance=e)
        for s, t, d, h, e in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _verdict(
    copied: bool, enough: bool, duplicates: int, closer: float, chance: float, p: float, n_fake: int, n: int
) -> str:
    if duplicates:
        return f"{duplicates:,} of {n_fake:,} synthetic patches are exact copies of training patches."
    if not enough:
        return (
            f"{n_fake:,} synthetic and {n:,} held-out patches are too few to tell (at least {FEWEST_PATCHES} are "
            "needed)."
        )
    facts = (
        f"a synthetic patch is nearer to a training patch than a held-out real one is in {chance:.0%} of pairs "
        f"({p_text(p)}), and {closer:.0%} of synthetic patches are nearer to training than to held-out patches"
    )
    if copied:
        return f"Signs of copying: {facts}; look at the closest pairs."
    return f"No signs of copying: {facts}."
