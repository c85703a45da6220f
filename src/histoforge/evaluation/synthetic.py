"""Compare synthetic patches with real ones: generative metrics, memorisation audit and maps, from one feature pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from histoforge.core.seeds import numpy_rng
from histoforge.evaluation.findings import GenerativeRow, Pair, PoolFindings, Projection, SamplePatch
from histoforge.metrics.exact_copies import PixelKeys, pixel_keys
from histoforge.metrics.extract import Extractor, extract_features
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.frechet import FrechetReference
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.metrics.tsne import embed
from histoforge.patches import PatchSet
from histoforge.steps.evaluate_config import EvaluateConfig

Rows = NDArray[np.int64]
TRAIN, HELD_OUT = "training patches", "held-out patches"
UNSELECTED, SELECTED, REJECTED = "unselected", "selected", "rejected"
RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "entropy_centroid": (
        "low entropy first, then near the class centroid (Algorithm 1 of Xue et al. 2021)",
        ("entropy", "distance"),
    ),
    "distance": ("near the class centroid (single filtering, Xue et al. 2019)", ("distance",)),
    "random": ("at random (no selection)", ()),
    "confidence": ("high probability of the assigned class", ("confidence",)),
}
SHOWN_SCORES = ("entropy", "distance", "confidence")


class SyntheticSets:
    """The candidates, and a mask of those that were kept.

    Attributes:
        patches: the pool, or only the kept patches if there is no pool.
        kept: bool [N].
        whole: True if `patches` also contains rejected ones.
    """

    def __init__(self, pool: PatchSet | None, selected: PatchSet | None) -> None:
        """Take the pool, whose column 'kept' marks the selected candidates."""
        chosen = pool if pool is not None else selected
        if chosen is None:
            raise ValueError("neither a pool nor selected patches")
        self.patches, self.whole = chosen, pool is not None
        index = chosen.index
        marked = "kept" in index and self.whole
        self.kept = index["kept"].to_numpy(bool) if marked else np.full(len(chosen), not self.whole)

    def sample(self, most: int, seed: int) -> "SyntheticSets":
        """Return at most `most` of the patches, drawn by seed."""
        rows = draw_rows(len(self.patches), most, seed, "synthetic")
        found = SyntheticSets.__new__(SyntheticSets)
        found.patches, found.kept, found.whole = self.patches.where(rows), self.kept[rows], self.whole
        return found

    @cached_property
    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Return the selection's scores by name."""
        index = self.patches.index
        return {name: index[name].to_numpy(np.float64) for name in SHOWN_SCORES if name in index}

    def subsets(self, seed: int) -> dict[str, Rows]:
        """Return rows of unselected, selected and rejected candidates, in each class as many as were selected.

        FID is biased by the number of samples, and precision and recall depend on it, so only equal numbers are
                comparable.
        """
        if not self.kept.any() or self.kept.all():
            return {SELECTED if self.kept.any() else UNSELECTED: np.arange(len(self.kept))}
        rng = numpy_rng(seed, "equal numbers")
        found: dict[str, list[Rows]] = {UNSELECTED: [], SELECTED: [], REJECTED: []}
        for label in range(len(self.patches.classes)):
            own = self.patches.labels == label
            kept, rejected, every = (np.flatnonzero(mask) for mask in (own & self.kept, own & ~self.kept, own))
            found[SELECTED].append(kept)
            found[UNSELECTED].append(np.sort(rng.permutation(every)[: len(kept)]))
            found[REJECTED].append(np.sort(rng.permutation(rejected)[: len(kept)]))
        return {name: np.concatenate(rows) for name, rows in found.items()}


@dataclass(frozen=True)
class RealSets:
    """Real training patches (a sample if there are many) and held-out ones."""

    train: PatchSet
    held_out: PatchSet


@dataclass(frozen=True)
class Seen:
    """Features [N, D] of all patches, computed by one extractor."""

    extractor: str
    train: NDArray[np.float32]
    held_out: NDArray[np.float32]
    synthetic: NDArray[np.float32]


def see(extractor: Extractor, real: RealSets, synthetic: PatchSet, device: torch.device, batch_size: int) -> Seen:
    """Compute all features of one extractor, each patch once."""

    def features(patches: PatchSet, what: str) -> NDArray[np.float32]:
        return extract_features(extractor, patches, device, batch_size=batch_size, label=f"features of {what} patches")

    return Seen(
        extractor.name,
        train=features(real.train, "training"),
        held_out=features(real.held_out, "held-out"),
        synthetic=features(synthetic, "synthetic"),
    )


def generative_rows(seen: Sequence[Seen], sets: SyntheticSets, config: EvaluateConfig) -> list[GenerativeRow]:
    """Compute all generative metrics of each subset against training and held-out patches, with each extractor.

    The last rows of an extractor compare held-out with training patches. They show what real patches of other patients
        reach.
    """
    subsets = sets.subsets(config.seed)
    rows = []
    for one in seen:
        references = {TRAIN: one.train, HELD_OUT: one.held_out}
        frechet = {name: FrechetReference(real) for name, real in references.items() if len(real) > 1}
        fakes = {name: one.synthetic[places] for name, places in subsets.items()}
        pairs = [(subset, against, fake) for subset, fake in fakes.items() for against in references]
        pairs.append(("real held-out", TRAIN, one.held_out))
        for subset, against, fake in pairs:
            real = references[against]
            if not len(real) or not len(fake):
                continue
            found = generative_metrics(
                real,
                fake,
                one.extractor,
                neighbours=config.neighbours,
                seed=config.seed,
                reference=frechet.get(against),
            )
            rows.append(GenerativeRow(subset, against, found))
    return rows


def audit(
    seen: Seen, real: RealSets, sets: SyntheticSets, config: EvaluateConfig
) -> tuple[MemorisationAudit | None, list[Pair]]:
    """Return the memorisation audit with its closest pairs, or None if one kind has fewer than two patches."""
    if min(len(seen.train), len(seen.held_out), len(seen.synthetic)) < 2:
        return None, []
    result = audit_memorisation(
        EuclideanSpace(seen.synthetic, seen.train, seen.held_out, seen.extractor),
        keys=PixelKeys([pixel_keys(sets.patches)], pixel_keys(real.train), np.empty(0, np.uint64)),
        classes=(_class_names(sets.patches), _class_names(real.train), _class_names(real.held_out)),
        n_closest=config.shown_pairs,
        seed=config.seed,
    )
    pairs = [
        Pair(
            class_name=sets.patches.classes[sets.patches.labels[pair.synthetic]],
            synthetic=_one(sets.patches, pair.synthetic),
            training=_one(real.train, pair.training),
            held_out=_one(real.held_out, pair.held_out),
            distance=pair.distance,
            held_out_distance=pair.held_out_distance,
        )
        for pair in result.closest
    ]
    return result, pairs


def _class_names(patches: PatchSet) -> NDArray[np.object_]:
    return patches.index["class_name"].to_numpy(object)


def project(seen: Seen, real: RealSets, sets: SyntheticSets, config: EvaluateConfig) -> Projection | None:
    """Compute the t-SNE map of training patches and candidates, each drawn at random to keep the proportions.

    This uses one thread: t-SNE waits at a barrier a thousand times, which takes minutes if a pod may use fewer cores
    than the node has.
    """
    if len(seen.train) + len(seen.synthetic) < 5:
        return None
    with threadpool_limits(1):
        found = embed({"real": seen.train, "synthetic": seen.synthetic}, config.map_patches, config.seed)
    reals, fakes = found["real"], found["synthetic"]
    origin = np.where(sets.kept[fakes.rows], "kept", "rejected")
    return Projection(
        points=np.concatenate([reals.points, fakes.points]).astype(np.float32),
        labels=np.concatenate([real.train.labels[reals.rows], sets.patches.labels[fakes.rows]]),
        origin=np.concatenate([np.full(len(reals.rows), "real"), origin]),
        extractor=seen.extractor,
    )


def pool_findings(sets: SyntheticSets) -> PoolFindings:
    """Return the scored candidates and the rule that selected them."""
    made_by = sets.patches.info.made_by
    rule = made_by.get("config", {}).get("rule", "")
    words, decisive = RULES.get(rule, (rule or "unknown", ()))
    return PoolFindings(sets.patches.labels, sets.kept, sets.scores, words, decisive)


def samples(
    train: PatchSet, sets: SyntheticSets | None, count: int, seed: int
) -> dict[str, dict[str, list[SamplePatch]]]:
    """Draw patches to show by class and group, fewer of each if there are many classes."""
    count = min(count, max(2, 160 // (4 * len(train.classes)))) if count else 0
    shown: dict[str, dict[str, list[SamplePatch]]] = {}
    for label, name in enumerate(train.classes):
        groups = {"real": _shown(train, train.labels == label, count, seed, {})}
        if sets is not None:
            own = sets.patches.labels == label
            parts = (
                {"selected": own & sets.kept, "rejected": own & ~sets.kept} if sets.kept.any() else {"synthetic": own}
            )
            groups |= {group: _shown(sets.patches, rows, count, seed, sets.scores) for group, rows in parts.items()}
        shown[name] = groups
    return shown


def draw_rows(count: int, most: int, seed: int, purpose: str) -> Rows:
    """Return all rows, or `most` of them drawn by seed, in ascending order."""
    if count <= most:
        return np.arange(count)
    return np.sort(numpy_rng(seed, "rows", purpose).choice(count, most, replace=False))


def _shown(
    patches: PatchSet, mask: NDArray[np.bool_], count: int, seed: int, scores: Mapping[str, NDArray[Any]]
) -> list[SamplePatch]:
    rows = np.flatnonzero(mask)
    rows = rows[draw_rows(len(rows), count, seed, "shown")]
    images = list(patches.images(rows)) if len(rows) else []
    texts = [
        ", ".join(f"{name} {values[row]:.2f}" for name, values in scores.items() if name != "confidence")
        for row in rows
    ]
    return [SamplePatch(image, text) for image, text in zip(images, texts, strict=True)]


def _one(patches: PatchSet, row: int) -> NDArray[np.uint8]:
    return patches.images(np.array([row]))[0]
