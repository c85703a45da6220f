"""The memorisation audit by a guide: does a synthetic patch set copy its training patches, or repeat itself?

Mustafa 2024, "Qualitative Evaluation". The tests are those of `metrics.memorisation`, on the similarity of the guide's
embeddings. A generator that was trained on mirrored patches may copy mirrored ones. Patches can therefore be compared
in several views: the first unchanged, the others flipped (`FLIPS`). The most similar view counts, for all kinds of
patches alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.exact_copies import FLIPS
from histoforge.metrics.feature_space import Kind, NearestPatches, Rows, Subset
from histoforge.metrics.memorisation import ClosePair, MemorisationAudit, audit_memorisation
from histoforge.metrics.near_copies import NearCopies, SimilarPair
from histoforge.patches import PatchSet
from histoforge.patches.matching import check_same_format
from histoforge.siamese.guide import Guide
from histoforge.siamese.retrieval import Embeddings, embed_set, most_similar

TRAINING_SPLITS, HELD_OUT_SPLITS = ("train",), ("val", "test")


class CosineSpace:
    """Embeddings of several views of each patch, compared by their cosine; the distance is 1 - cosine.

    Attributes:
        extractor: the name of the network that computed the embeddings.
        views: number of views of each patch.
    """

    def __init__(
        self,
        synthetic: Sequence[Embeddings],
        training: Sequence[Embeddings],
        held_out: Sequence[Embeddings],
        extractor: str,
        device: torch.device | str = "cpu",
    ) -> None:
        """Take one matrix per view, [S, D], [T, D] and [H, D], the first of unchanged patches.

        The vectors are non-negative and of length 1. Nearest patches are computed on `device`.
        """
        self._views: dict[Kind, Sequence[Embeddings]] = {
            "synthetic": synthetic,
            "training": training,
            "held_out": held_out,
        }
        self._device = device
        self.extractor, self.views = extractor, len(synthetic)

    def features(self, kind: Kind) -> Tensor:
        """Return the embeddings of the unchanged patches, float32 [N, D]."""
        return torch.from_numpy(self._views[kind][0])

    def nearest(self, queries: Subset, points: Subset) -> NearestPatches:
        """Return the point nearest to the most similar view of each query; ties go to the first view and point."""
        gallery = _select([self._views[points.kind][0]], points)[0]
        excluded = None
        if queries.kind == points.kind:
            excluded = queries.rows if points.rows is None and queries.rows is not None else np.arange(len(gallery))
        label = f"{queries.kind} to {points.kind}".replace("_", " ")
        neighbours = [
            most_similar(view, gallery, 1, device=self._device, excluded=excluded, label=label)
            for view in _select(self._views[queries.kind], queries)
        ]
        similarities = np.stack([result.similarities for result in neighbours])
        best_view = similarities.argmax(axis=0, keepdims=True)
        rows = np.take_along_axis(np.stack([result.rows for result in neighbours]), best_view, 0)[0]
        return NearestPatches(1 - torch.from_numpy(similarities.max(axis=0)[:, 0]).double(), rows[:, 0])


@dataclass(frozen=True)
class DuplicateFindings:
    """The findings of `audit_synthetic_set`.

    Attributes:
        audit: the audit, with rows of the synthetic and of the whole real set.
        near_copies: `audit.near_copies`.
        warnings: reasons to trust the audit less, one sentence each.
    """

    audit: MemorisationAudit
    near_copies: NearCopies
    warnings: list[str]


def audit_synthetic_set(
    synthetic: PatchSet,
    real: PatchSet,
    guide: Guide,
    *,
    names: tuple[str, str] = ("the synthetic patch set", "the patch set"),
    quantile: float = 0.99,
    flips: bool = True,
    n_closest: int = 12,
    cache: Path | None = None,
) -> DuplicateFindings:
    """Audit a synthetic patch set against the real one that its generator was trained on.

    Args:
        synthetic: the patch set that a generator made.
        real: the patch set that it was trained on, with its held-out splits.
        guide: the network that embeds.
        names: the names of both sets in messages.
        quantile: quantile of the held-out patches' similarity above which a patch is flagged, from 0.5 to below 1.
        flips: whether flipped views are compared as well.
        n_closest: number of closest pairs to return.
        cache: a folder for embeddings, or None.

    Raises:
        SettingsError: the quantile is out of range.
        PatchSetError: the sets do not belong together, or have too few patches.
        ModelError: the guide does not fit the patches.
    """
    if not 0.5 <= quantile < 1:
        raise SettingsError(f"--quantile is {quantile:g}: give a value of at least 0.5 and below 1, such as 0.99.")
    _check_sets(synthetic, real, names)
    training, held_out = (_rows(real, splits, names[1]) for splits in (TRAINING_SPLITS, HELD_OUT_SPLITS))
    guide.check_patches(real, f"the patch set {names[1]}")
    views = FLIPS if flips else FLIPS[:1]
    synthetic_views = [embed_set(guide, synthetic, cache, "synthetic patches", flip) for flip in views]
    real_views = [embed_set(guide, real, cache, "real patches", flip) for flip in views]
    space = CosineSpace(
        synthetic_views,
        [view[training] for view in real_views],
        [view[held_out] for view in real_views],
        guide.name,
        guide.device,
    )
    classes = real.index["class_name"].to_numpy(object)
    audit = audit_memorisation(
        space,
        pixels=AuditPixels(synthetic, real.where(training), real.where(held_out)),
        classes=(synthetic.index["class_name"].to_numpy(object), classes[training], classes[held_out]),
        quantile=quantile,
        n_closest=n_closest,
    )
    audit, near_copies = _with_rows_of_the_set(audit, training, held_out)
    return DuplicateFindings(audit, near_copies, _warnings(near_copies, synthetic, real, names))


def _select(views: Sequence[Embeddings], subset: Subset) -> Sequence[Embeddings]:
    return views if subset.rows is None else [view[subset.rows] for view in views]


def _check_sets(synthetic: PatchSet, real: PatchSet, names: tuple[str, str]) -> None:
    if not synthetic.info.synthetic or real.info.synthetic:
        wrong, kind = (names[1], "synthetic") if real.info.synthetic else (names[0], "real")
        raise PatchSetError(
            f"{wrong} contains {kind} patches: give --in the synthetic set and --of the set that its generator was "
            "trained on."
        )
    advice = "name the patch set that the generator was trained on"
    check_same_format(f"{names[0]} has", synthetic, names[1], real, advice, PatchSetError)
    if len(synthetic) < 2:
        raise PatchSetError(f"{names[0]} has {len(synthetic)} patches: an audit needs at least two.")


def _rows(real: PatchSet, splits: Sequence[str], name: str) -> Rows:
    rows = np.flatnonzero(real.index["split"].isin(splits).to_numpy())
    if len(rows) < 2:
        raise PatchSetError(
            f"The patch set {name} has {len(rows)} patches in its {' and '.join(splits)} split: the audit compares "
            "with training and with held-out patches, and needs at least two of each."
        )
    return rows


def _with_rows_of_the_set(
    audit: MemorisationAudit, training: Rows, held_out: Rows
) -> tuple[MemorisationAudit, NearCopies]:
    """Return the audit and its near copies with rows of the whole real set instead of rows of its splits."""
    near_copies = audit.near_copies
    if near_copies is None:
        raise ValueError("near copies were not searched for")

    def of_set(pairs: Sequence[SimilarPair]) -> list[SimilarPair]:
        return [pair.model_copy(update={"other": int(training[pair.other])}) for pair in pairs]

    def closest_of_set(pair: ClosePair) -> ClosePair:
        rows = {"training": int(training[pair.training]), "held_out": int(held_out[pair.held_out])}
        return pair.model_copy(update=rows)

    near, copies = near_copies.nearness, near_copies.copies
    nearness = near.model_copy(update={"flagged": of_set(near.flagged), "closest": of_set(near.closest)})
    of_training = [(row, int(training[match])) for row, match in copies.of_training]
    of_held_out = [(row, int(held_out[match])) for row, match in copies.of_held_out]
    copies = copies.model_copy(update={"of_training": of_training, "of_held_out": of_held_out})
    near_copies = near_copies.model_copy(update={"nearness": nearness, "copies": copies})
    closest = [closest_of_set(pair) for pair in audit.closest]
    updates = {"near_copies": near_copies, "duplicates": of_training, "closest": closest}
    if audit.registered is not None:
        flagged = [
            pair.model_copy(update={"training": int(training[pair.training])}) for pair in audit.registered.flagged
        ]
        updates["registered"] = audit.registered.model_copy(update={"flagged": flagged})
    return audit.model_copy(update=updates), near_copies


def _warnings(near_copies: NearCopies, synthetic: PatchSet, real: PatchSet, names: tuple[str, str]) -> list[str]:
    """Return the reasons to trust the audit less."""
    warnings = []
    trained_on = (synthetic.info.made_by.get("scoring") or {}).get("patches")
    if trained_on not in (None, real.digest):
        warnings.append(
            f"{names[0]} was made from another patch set than {names[1]}: its training patches are not those that were "
            "compared."
        )
    splits = real.index["split"]
    training, held_out = (
        set(real.index["patient"][splits.isin(names)]) - {""} for names in (TRAINING_SPLITS, HELD_OUT_SPLITS)
    )
    if shared := training & held_out:
        warnings.append(
            f"{len(shared):,} of {len(held_out):,} patients with held-out patches also have training patches (the set "
            "was not split by patient): held-out patches are then nearer to training, and copies are harder to detect."
        )
    if near_copies.copies.of_held_out:
        warnings.append(
            f"{len(near_copies.copies.of_held_out):,} synthetic patches are exact copies of held-out patches, which "
            "the generator should not have seen."
        )
    n_held_out, quantile = int(splits.isin(HELD_OUT_SPLITS).sum()), near_copies.nearness.quantile
    if n_held_out * (1 - quantile) < 1:
        warnings.append(
            f"{n_held_out:,} held-out patches are few for a quantile of {quantile:g}: the threshold is the similarity "
            "of the closest one of them."
        )
    return warnings
