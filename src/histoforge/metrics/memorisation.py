"""Audit of whether a generator copied its training patches.

`audit_memorisation` is the only audit of the package. `evaluate` and `score_generator` run it on a classifier's
features, `histoforge duplicates` on the embeddings of a guide (`siamese.duplicates`). It has two findings:

1. Copies of training patches, by their pixels: exact ones (`exact_copies`), and those that were flipped, rotated,
   shifted, recompressed or recoloured (`registered_copies`). Publication depends on this finding alone.
2. Whether synthetic patches are nearer to the training patients than other patients are, by the extractor's features:
   Meehan et al. 2020 (over the whole space, within cells and within classes), authenticity (Alaa et al. 2022) and, if a
   quantile is given, near copies (`near_copies`). A generator that copies nothing can be nearer, because held-out
   patches come from other patients, and because the extractor may have been trained on the same patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from histoforge.core.seeds import numpy_rng
from histoforge.core.timings import spent
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.audit_text import MIN_PATCHES, copies_verdict, nearer_verdict
from histoforge.metrics.copying import (
    ALPHA,
    NOTABLE_SHARE,
    CopyingByCell,
    Names,
    copying_by_cell,
    copying_test,
    kmeans_cells,
)
from histoforge.metrics.feature_space import FeatureSpace, Kind, NearestPatches, Subset, all_features
from histoforge.metrics.near_copies import NearCopies, find_near_copies
from histoforge.metrics.registered_copies import RegisteredCopies
from histoforge.metrics.results import Result


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
        duplicates: pairs (synthetic row, training row) with the same pixels in some flip or rotation; None if no pixels
            were given.
        closest: the closest pairs, nearest first.
        copied: whether there are copies of training patches.
        enough: whether there are enough patches for the tests, and enough detail in them.
        verdict: the finding about copies, in one sentence.
        cells: Meehan's statistic within cells of the space; None where there are too few patches for two cells.
        by_class: the same within classes; None if no classes were given.
        near_copies: exact and near copies; None, and left out of the JSON, if no quantile was given.
        registered: copies that were flipped, rotated, shifted, recompressed or recoloured; None, and left out of the
            JSON, if no pixels were given.
        nearer: whether synthetic patches are nearer to the training patients than other patients are; None in audits of
            earlier versions, whose verdict combines both findings.
        nearer_verdict: this finding in one sentence.
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
    near_copies: NearCopies | None = Field(None, exclude_if=lambda near_copies: near_copies is None)
    registered: RegisteredCopies | None = Field(None, exclude_if=lambda registered: registered is None)
    nearer: bool | None = None
    nearer_verdict: str = ""


@spent("compute")
def audit_memorisation(
    space: FeatureSpace,
    *,
    pixels: AuditPixels | None = None,
    classes: tuple[Names, Names, Names] | None = None,
    quantile: float | None = None,
    n_closest: int = 8,
    seed: int = 0,
) -> MemorisationAudit:
    """Audit synthetic patches against training and held-out real ones.

    Args:
        space: the features of all patches.
        pixels: pixels of the patches, searched for copies; without them, the audit finds none.
        classes: class names of synthetic, training and held-out patches, str [S], [T] and [H].
        quantile: quantile of the held-out patches' similarities above which a synthetic patch is flagged as a near
            copy; it needs `pixels` and a space whose distance is 1 - cosine. With None, near copies are not searched
            for.
        n_closest: number of closest pairs to return; each synthetic patch appears once.
        seed: seed of the cells and of the subsamples, such as that which makes training and held-out patches equal in
            number.

    Raises:
        ValueError: there are fewer than two patches of a kind.
    """
    n_synthetic, n_training, n_held_out = map(len, all_features(space))
    if min(n_synthetic, n_training, n_held_out) < 2:
        raise ValueError("an audit needs at least two synthetic, training and held-out patches")
    distances = _Distances.measure(space, seed)
    to_training, held_out_to_training = distances.to_training, distances.held_out_to_training
    nearer, c_t, p = copying_test(to_training.distances, held_out_to_training.distances)
    copies = None if pixels is None else pixels.exact_copies()
    registered = None if pixels is None else pixels.registered_copies(seed)
    near_copies = None
    if quantile is not None and copies is not None:
        near_copies = find_near_copies(
            space, to_training, held_out_to_training, copies, quantile=quantile, n_closest=n_closest, seed=seed
        )
    audit = MemorisationAudit(
        extractor=space.extractor,
        n_synthetic=n_synthetic,
        n_training=n_training,
        n_held_out=n_held_out,
        n_compared=min(n_training, n_held_out),
        closer_to_training=distances.closer_to_training,
        median_to_training=float(distances.to_training_sample.median()),
        median_to_held_out=float(distances.to_held_out_sample.median()),
        median_held_out_to_training=float(held_out_to_training.distances.median()),
        nearer_than_held_out=nearer,
        c_t=c_t,
        p=p,
        authenticity=distances.authenticity,
        duplicates=None if copies is None else copies.of_training,
        closest=_closest(space, to_training, n_closest),
        copied=False,
        enough=_enough(min(n_synthetic, n_training, n_held_out), registered),
        verdict="",
        cells=_by_cell(space, kmeans_cells(all_features(space), seed)),
        by_class=_by_cell(space, classes),
        near_copies=near_copies,
        registered=registered,
    )
    exact = [] if pixels is None else pixels.with_detail(audit.duplicates or [])
    copied = bool(exact) or (registered is not None and registered.copied)
    audit = audit.model_copy(update={"copied": copied, "nearer": _nearer(audit)})
    return audit.model_copy(
        update={"verdict": copies_verdict(audit, len(exact)), "nearer_verdict": nearer_verdict(audit)}
    )


@dataclass(frozen=True)
class _Distances:
    """Distances to nearest patches.

    Attributes:
        to_training: of synthetic patches to training patches.
        held_out_to_training: of held-out patches to training patches.
        between_training: of the training patch nearest to each synthetic one to another training patch, float [S].
        to_training_sample, to_held_out_sample: of synthetic patches to equal numbers of both, float [S].
    """

    to_training: NearestPatches
    held_out_to_training: NearestPatches
    between_training: Tensor
    to_training_sample: Tensor
    to_held_out_sample: Tensor

    @classmethod
    def measure(cls, space: FeatureSpace, seed: int) -> "_Distances":
        synthetic, training, held_out = Subset("synthetic"), Subset("training"), Subset("held_out")
        to_training = space.nearest(synthetic, training)
        n = min(len(space.features("training")), len(space.features("held_out")))
        return cls(
            to_training=to_training,
            held_out_to_training=space.nearest(held_out, training),
            between_training=space.nearest(Subset("training", to_training.rows), training).distances,
            to_training_sample=space.nearest(synthetic, _subsample(space, "training", n, seed)).distances,
            to_held_out_sample=space.nearest(synthetic, _subsample(space, "held_out", n, seed)).distances,
        )

    @property
    def closer_to_training(self) -> float:
        """Share of synthetic patches nearer to the training sample than to the held-out one; ties count half."""
        to_training, to_held_out = self.to_training_sample, self.to_held_out_sample
        return float(((to_training < to_held_out).double() + (to_training == to_held_out).double() / 2).mean())

    @property
    def authenticity(self) -> float:
        """Authenticity of Alaa et al. 2022."""
        return float((self.to_training.distances > self.between_training).double().mean())


def _nearer(audit: MemorisationAudit) -> bool:
    """Return whether synthetic patches are notably near to training patches; near copies decide if searched for."""
    if min(audit.n_synthetic, audit.n_compared) < MIN_PATCHES:
        return False
    if audit.near_copies is not None:
        return audit.near_copies.nearness.notable
    return audit.p < ALPHA and audit.nearer_than_held_out > NOTABLE_SHARE


def _enough(patches: int, registered: RegisteredCopies | None) -> bool:
    return patches >= MIN_PATCHES and (registered is None or registered.n_with_detail >= MIN_PATCHES)


def _subsample(space: FeatureSpace, kind: Kind, size: int, seed: int) -> Subset:
    rng = numpy_rng(seed, "memorisation", kind.replace("_", " "))
    return Subset(kind, np.sort(rng.choice(len(space.features(kind)), size, replace=False)))


def _by_cell(space: FeatureSpace, cells: Sequence[Names] | None) -> CopyingByCell | None:
    return None if cells is None else copying_by_cell(all_features(space), cells)


def _closest(space: FeatureSpace, to_training: NearestPatches, count: int) -> list[ClosePair]:
    rows = to_training.distances.argsort(stable=True)[:count].cpu().numpy()
    to_held_out = space.nearest(Subset("synthetic", rows), Subset("held_out"))
    distances, held_out_distances = to_training.distances[torch.from_numpy(rows)], to_held_out.distances
    columns = (rows, to_training.rows[rows], distances, to_held_out.rows, held_out_distances)
    return [
        ClosePair(synthetic=row, training=match, distance=distance, held_out=other, held_out_distance=other_distance)
        for row, match, distance, other, other_distance in zip(*(values.tolist() for values in columns), strict=True)
    ]
