"""Near copies: synthetic patches more similar to a training patch, or to each other, than real patches are.

Mustafa 2024, "Qualitative Evaluation", looks at the most similar images of a few selected ones. Here the nearest
training patch of every synthetic patch is found, and its similarity is compared with a reference: the similarity of
held-out real patches, which the generator cannot have copied, to their nearest training patch. A stricter reference is
the similarity of training patches to their nearest other training patch, because these come from the same patients, as
the generator's patches do.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats

from histoforge.core.seeds import numpy_rng
from histoforge.core.timings import spent
from histoforge.metrics.copying import ALPHA, NOTABLE_SHARE, copying_test
from histoforge.metrics.exact_copies import Copies
from histoforge.metrics.feature_space import FeatureSpace, NearestPatches, Rows, Subset
from histoforge.metrics.results import Result

NOTABLE_RATIO = 2.0
MAX_COMPARED = 5000
Similarities = NDArray[np.float32]


class SimilarPair(Result):
    """A synthetic patch and the real or synthetic one most similar to it.

    Attributes:
        synthetic, other: rows in the given sets.
        similarity: cosine of their features, in [0, 1].
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
        similarities: similarities to the nearest training patch of 'synthetic', 'held out' and 'training' patches; of
            the last at most `MAX_COMPARED`, to their nearest other one. They are not written to JSON.
    """

    quantile: float
    threshold: float
    flagged: list[SimilarPair]
    closest: list[SimilarPair]
    share: float
    held_out_share: float
    p: float
    median: float
    held_out_median: float
    training_median: float
    more_similar: float
    more_similar_than_training: float
    p_than_training: float
    similarities: dict[str, list[float]] = Field(default_factory=dict, exclude=True)

    @property
    def notable(self) -> bool:
        """True if the similarities indicate copying."""
        expected = max(1 - self.quantile, self.held_out_share)
        flagged = self.p < ALPHA and self.share > NOTABLE_RATIO * expected
        return flagged or (self.p_than_training < ALPHA and self.more_similar_than_training > NOTABLE_SHARE)


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
    closest: list[SimilarPair]


class NearCopies(Result):
    """Exact and near copies of training patches, and repetitions among the synthetic patches.

    Attributes:
        views: number of views of each patch compared: 1 for unchanged patches, 4 with flips.
        copies: patches with the same pixels.
        nearness: similarity of synthetic patches to training patches.
        within: similarity of synthetic patches to each other.
    """

    views: int
    copies: Copies
    nearness: Nearness
    within: Within


@spent("compute")
def find_near_copies(
    space: FeatureSpace,
    to_training: NearestPatches,
    held_out: NearestPatches,
    copies: Copies,
    *,
    quantile: float,
    n_closest: int,
    seed: int,
) -> NearCopies:
    """Compare the similarities of synthetic patches with those of real ones.

    Args:
        space: the features; their distance is 1 - cosine.
        to_training, held_out: the training patch nearest to each synthetic and to each held-out patch.
        copies: patches with the same pixels.
        quantile: quantile of the real patches' similarities above which a synthetic patch is flagged.
        n_closest: number of closest pairs to return.
        seed: seed of the subsamples that are compared among themselves.
    """
    n_training = len(space.features("training"))
    sample = subsample(n_training, MAX_COMPARED, seed, "training")
    among_training = space.nearest(Subset("training", sample), Subset("training"))
    return NearCopies(
        views=space.views,
        copies=copies,
        nearness=_nearness(to_training, held_out, among_training, quantile, n_closest),
        within=_within(space, quantile, n_closest, seed),
    )


def subsample(count: int, max_rows: int, seed: int, purpose: str) -> Rows:
    """Return all rows, or `max_rows` of them drawn by seed, in ascending order."""
    if count <= max_rows:
        return np.arange(count)
    return np.sort(numpy_rng(seed, "duplicates", purpose).choice(count, max_rows, replace=False))


def _nearness(
    synthetic: NearestPatches, held_out: NearestPatches, training: NearestPatches, quantile: float, n_closest: int
) -> Nearness:
    similarities, references, among_training = map(_similarities, (synthetic, held_out, training))
    threshold = float(np.quantile(references, quantile, method="higher"))
    n_flagged, n_above = (int((values > threshold).sum()) for values in (similarities, references))
    table = [[n_flagged, len(similarities) - n_flagged], [n_above, len(references) - n_above]]
    pairs = _closest(synthetic)
    than_training, _, p_than_training = copying_test(synthetic.distances, training.distances)
    return Nearness(
        quantile=quantile,
        threshold=threshold,
        flagged=pairs[:n_flagged],
        closest=pairs[:n_closest],
        share=n_flagged / len(similarities),
        held_out_share=n_above / len(references),
        p=float(stats.fisher_exact(table, alternative="greater").pvalue),
        median=float(np.median(similarities)),
        held_out_median=float(np.median(references)),
        training_median=float(np.median(among_training)),
        more_similar=copying_test(synthetic.distances, held_out.distances)[0],
        more_similar_than_training=than_training,
        p_than_training=p_than_training,
        similarities={
            "synthetic": similarities.tolist(),
            "held out": references.tolist(),
            "training": among_training.tolist(),
        },
    )


def _within(space: FeatureSpace, quantile: float, n_closest: int, seed: int) -> Within:
    n_synthetic, n_training = len(space.features("synthetic")), len(space.features("training"))
    n = min(n_synthetic, n_training, MAX_COMPARED)
    rows = subsample(n_synthetic, n, seed, "synthetic within")
    synthetic = Subset("synthetic", rows)
    training = Subset("training", subsample(n_training, n, seed, "training within"))
    reference = _similarities(space.nearest(training, training))
    nearest = space.nearest(synthetic, synthetic)
    threshold = float(np.quantile(reference, quantile, method="higher"))
    pairs: dict[tuple[int, int], SimilarPair] = {}
    for pair in _closest(nearest):
        first, second = sorted(int(rows[row]) for row in (pair.synthetic, pair.other))
        pairs.setdefault((first, second), SimilarPair(synthetic=second, other=first, similarity=pair.similarity))
    share = float((_similarities(nearest) > threshold).mean())
    return Within(n=n, threshold=threshold, share=share, closest=list(pairs.values())[:n_closest])


def _similarities(nearest: NearestPatches) -> Similarities:
    return (1 - nearest.distances).float().cpu().numpy()


def _closest(nearest: NearestPatches) -> list[SimilarPair]:
    """Return the pairs of queries and their nearest patches, most similar first; ties follow the query's row."""
    similarities = _similarities(nearest)
    order = np.argsort(-similarities, kind="stable")
    return [
        SimilarPair(synthetic=int(row), other=int(nearest.rows[row]), similarity=float(similarities[row]))
        for row in order
    ]
