"""Audit of whether a generator duplicated its training patches or its own.

Mustafa 2024, "Qualitative Evaluation", looks at the most similar images of a few chosen ones. Here the nearest training
patch of every synthetic patch is searched for, and a similarity is compared with a reference: the similarity of
held-out real patches, which the generator cannot have copied, to their nearest training patch. A stricter reference is
that of training patches to their nearest other training patch, because these come from the same patients, as the
generator's patches do.

A generator that was trained on mirrored patches may copy mirrored ones. Patches can therefore be compared in several
views: the first unchanged, the others flipped (`retrieval.FLIPS`). The most similar view counts, for all kinds of
patches alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from histoforge.core.seeds import numpy_rng
from histoforge.metrics.compare import p_text
from histoforge.metrics.copying import ALPHA, NOTABLE_SHARE, copying_test
from histoforge.metrics.results import Result
from histoforge.siamese.exact_copies import Copies, PixelKeys, find_copies
from histoforge.siamese.retrieval import Embeddings, Neighbours, most_similar

FEWEST_PATCHES = 30
NOTABLE = 2.0
MOST_COMPARED = 5000
Rows = NDArray[np.int64]
Similarities = NDArray[np.float32]


class ClosePair(Result):
    """A synthetic patch and the real or synthetic one most similar to it.

    Attributes:
        synthetic, other: rows in the given sets.
        similarity: cosine of the guide's embeddings, in [0, 1].
    """

    synthetic: int
    other: int
    similarity: float


class Nearness(Result):
    """Similarity to the nearest training patch.

    Attributes:
        quantile: quantile of the held-out similarities above which a synthetic patch is flagged.
        threshold: the similarity at that quantile.
        flagged: synthetic patches that are more similar to a training patch, most similar first.
        closest: the most similar pairs, flagged or not.
        share, held_out_share: share of the synthetic and of the held-out patches above the threshold.
        p: one-sided p-value of there being more flagged patches than by chance (Fisher's exact test, which treats
            patches of one patient as independent).
        median, held_out_median: median similarity of the synthetic and of the held-out patches.
        training_median: median similarity of training patches to their nearest other one.
        more_similar: probability that a synthetic patch is more similar to training than a held-out one is.
        more_similar_than_training: probability that a synthetic patch is more similar to training than a training patch
            is to another; it does not exceed 50% for a generator that copies nothing, since both share their patients.
        p_than_training: one-sided p-value of `more_similar_than_training` (Mann-Whitney).
    """

    quantile: float
    threshold: float
    flagged: list[ClosePair]
    closest: list[ClosePair]
    share: float
    held_out_share: float
    p: float
    median: float
    held_out_median: float
    training_median: float
    more_similar: float
    more_similar_than_training: float
    p_than_training: float


class Within(Result):
    """Similarity of synthetic patches among themselves, compared with an equal number of training patches.

    The numbers are equal because in a larger set the nearest patch is more similar.

    Attributes:
        n: number of patches of each kind that were compared.
        threshold: the quantile of these training patches' similarity to their nearest other one.
        share: share of the synthetic patches whose nearest other synthetic patch is more similar than that.
        closest: the most similar pairs of synthetic patches.
    """

    n: int
    threshold: float
    share: float
    closest: list[ClosePair]


class DuplicateAudit(Result):
    """Results of the duplicate audit.

    Attributes:
        n_synthetic, n_training, n_held_out: number of patches given.
        views: number of views of each patch compared: 1 for unchanged patches, 4 with flips.
        enough: whether there are enough patches to judge.
        copied: whether the audit indicates copying.
        verdict: the result in one sentence.
    """

    n_synthetic: int
    n_training: int
    n_held_out: int
    views: int
    copies: Copies
    nearness: Nearness
    within: Within
    enough: bool
    copied: bool
    verdict: str


@dataclass(frozen=True)
class NearestSimilarities:
    """Similarities to the nearest training patch, of synthetic [S], held-out [H] and training patches.

    Attributes:
        training: similarity of at most `MOST_COMPARED` training patches to their nearest other one.
    """

    synthetic: Similarities
    held_out: Similarities
    training: Similarities


def audit_duplicates(
    synthetic: Sequence[Embeddings],
    training: Sequence[Embeddings],
    held_out: Sequence[Embeddings],
    keys: PixelKeys,
    *,
    quantile: float = 0.99,
    n_closest: int = 12,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[DuplicateAudit, NearestSimilarities]:
    """Audit synthetic patches against training and held-out real ones, by embeddings [S, D], [T, D] and [H, D].

    Args:
        synthetic, training, held_out: one matrix per view, the first of unchanged patches; at least two patches.
        keys: pixel keys of the same patches.
        quantile: quantile of the held-out similarities above which a synthetic patch is flagged.
        n_closest: number of closest pairs to return.
        seed: seed of the subsamples that are compared among themselves.
        device: where to compute.

    Raises:
        ValueError: there are fewer than two patches of a kind.
    """
    n_synthetic, n_training, n_held_out = (len(views[0]) for views in (synthetic, training, held_out))
    if min(n_synthetic, n_training, n_held_out) < 2:
        raise ValueError("an audit needs at least two synthetic, training and held-out patches")
    real, sample = training[0], _subsample(n_training, MOST_COMPARED, seed, "training")
    to_training = _nearest(synthetic, real, "synthetic to training", device)
    held = _nearest(held_out, real, "held out to training", device)
    among = _nearest([view[sample] for view in training], real, "training to other training", device, sample)
    found = NearestSimilarities(*(part.similarities[:, 0] for part in (to_training, held, among)))
    nearness, copies = _nearness(found, to_training, quantile, n_closest), find_copies(keys)
    enough = min(n_synthetic, n_held_out) >= FEWEST_PATCHES
    audit = DuplicateAudit(
        n_synthetic=n_synthetic,
        n_training=n_training,
        n_held_out=n_held_out,
        views=len(synthetic),
        copies=copies,
        nearness=nearness,
        within=_within(synthetic, training, quantile, n_closest, seed, device),
        enough=enough,
        copied=bool(copies.of_training) or (enough and _notable(nearness)),
        verdict="",
    )
    return audit.model_copy(update={"verdict": _verdict(audit)}), found


def _nearest(
    views: Sequence[Embeddings], gallery: Embeddings, label: str, device: torch.device | str, own: Rows | None = None
) -> Neighbours:
    """Return the nearest patch of the gallery in the most similar view; of equally similar views, the first."""
    found = [most_similar(view, gallery, 1, device=device, own=own, label=label) for view in views]
    similarities = np.stack([one.similarities for one in found])
    best = similarities.argmax(axis=0, keepdims=True)
    rows = np.take_along_axis(np.stack([one.rows for one in found]), best, 0)[0]
    return Neighbours(rows, similarities.max(axis=0))


def _nearness(found: NearestSimilarities, to_training: Neighbours, quantile: float, n_closest: int) -> Nearness:
    threshold = float(np.quantile(found.held_out, quantile, method="higher"))
    flagged, above = (int((part > threshold).sum()) for part in (found.synthetic, found.held_out))
    table = [[flagged, len(found.synthetic) - flagged], [above, len(found.held_out) - above]]
    pairs = _closest(to_training)
    synthetic, held_out, training = (
        torch.from_numpy(1 - part) for part in (found.synthetic, found.held_out, found.training)
    )
    than_training, _, p_than_training = copying_test(synthetic, training)
    return Nearness(
        quantile=quantile,
        threshold=threshold,
        flagged=pairs[:flagged],
        closest=pairs[:n_closest],
        share=flagged / len(found.synthetic),
        held_out_share=above / len(found.held_out),
        p=float(stats.fisher_exact(table, alternative="greater").pvalue),
        median=float(np.median(found.synthetic)),
        held_out_median=float(np.median(found.held_out)),
        training_median=float(np.median(found.training)),
        more_similar=copying_test(synthetic, held_out)[0],
        more_similar_than_training=than_training,
        p_than_training=p_than_training,
    )


def _notable(near: Nearness) -> bool:
    flagged = near.p < ALPHA and near.share > NOTABLE * max(1 - near.quantile, near.held_out_share)
    return flagged or (near.p_than_training < ALPHA and near.more_similar_than_training > NOTABLE_SHARE)


def _within(
    synthetic: Sequence[Embeddings],
    training: Sequence[Embeddings],
    quantile: float,
    n_closest: int,
    seed: int,
    device: torch.device | str,
) -> Within:
    n = min(len(synthetic[0]), len(training[0]), MOST_COMPARED)
    own = np.arange(n)
    rows, others = (
        _subsample(len(views[0]), n, seed, f"{name} within")
        for name, views in (("synthetic", synthetic), ("training", training))
    )
    drawn, real = [view[rows] for view in synthetic], [view[others] for view in training]
    usual = _nearest(real, real[0], "training among themselves", device, own).similarities
    found = _nearest(drawn, drawn[0], "synthetic among themselves", device, own)
    threshold = float(np.quantile(usual, quantile, method="higher"))
    once: dict[tuple[int, int], ClosePair] = {}
    for pair in _closest(found):
        first, second = sorted((int(rows[pair.synthetic]), int(rows[pair.other])))
        once.setdefault((first, second), ClosePair(synthetic=second, other=first, similarity=pair.similarity))
    share = float((found.similarities > threshold).mean())
    return Within(n=n, threshold=threshold, share=share, closest=list(once.values())[:n_closest])


def _closest(found: Neighbours) -> list[ClosePair]:
    """Return the pairs of queries and their nearest patches, most similar first; ties follow the query's row."""
    similarities, rows = found.similarities[:, 0], found.rows[:, 0]
    order = np.argsort(-similarities, kind="stable")
    return [ClosePair(synthetic=int(row), other=int(rows[row]), similarity=float(similarities[row])) for row in order]


def _subsample(count: int, most: int, seed: int, purpose: str) -> Rows:
    if count <= most:
        return np.arange(count)
    return np.sort(numpy_rng(seed, "duplicates", purpose).choice(count, most, replace=False))


def _verdict(audit: DuplicateAudit) -> str:
    copies, near = len(audit.copies.of_training), audit.nearness
    if copies:
        are = "is an exact copy of a training patch" if copies == 1 else "are exact copies of training patches"
        return f"{copies:,} of {audit.n_synthetic:,} synthetic patches {are}."
    if not audit.enough:
        return (
            f"{audit.n_synthetic:,} synthetic and {audit.n_held_out:,} held-out patches are too few to tell (at least "
            f"{FEWEST_PATCHES} of each are needed)."
        )
    facts = (
        f"{near.share:.1%} of synthetic patches are more similar to a training patch than {100 * near.quantile:.4g}% "
        f"of the held-out real patches are, where {1 - near.quantile:.1%} are expected ({p_text(near.p)}), and in "
        f"{near.more_similar_than_training:.0%} of pairs a synthetic patch is more similar to training than a training "
        f"patch is to another ({p_text(near.p_than_training)})"
    )
    return f"Signs of copying: {facts}; look at the pairs." if audit.copied else f"No signs of copying: {facts}."
