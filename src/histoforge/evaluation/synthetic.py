"""Compare synthetic patches with real ones: generative metrics, memorisation audit and maps, from one feature pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from histoforge.classifiers.network import Classifier
from histoforge.core.progress import say
from histoforge.evaluation.copies import copy_pairs
from histoforge.evaluation.findings import GenerativeRow, Pair, PoolFindings, Projection, SyntheticFindings
from histoforge.evaluation.patch_features import (
    ComparisonSettings,
    PatchFeatures,
    RealSets,
    corrupted_copies,
    extract_sets,
)
from histoforge.evaluation.realism import Realism, Sides, judge_classes, measure_realism
from histoforge.evaluation.synthetic_sets import SELECTED, UNSELECTED, SyntheticSets, draw_rows
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.extract import Extractor
from histoforge.metrics.extractor_check import check_extractors
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.frechet import FrechetReference
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.metrics.pixel_statistics import PixelStatistics
from histoforge.metrics.tsne import embed
from histoforge.metrics.untrained import UNTRAINED, untrained_extractors
from histoforge.patches import PatchSet
from histoforge.selection.rules import RULES

TRAIN, HELD_OUT = "training patches", "held-out patches"
REAL = "real held-out"


def compare_synthetic(
    synthetic: SyntheticSets,
    train: PatchSet,
    held_out: PatchSet,
    extractors: Sequence[Extractor],
    settings: ComparisonSettings,
) -> SyntheticFindings:
    """Compare synthetic patches with training and held-out ones, in the features of each extractor.

    Two extractors without training are added to those given. The audit and the probabilities of classes use the last
    extractor that is a classifier, and the map the first extractor.
    """
    sets = synthetic.sample(settings.metric_patches, settings.seed)
    real = RealSets.sample(train, held_out, settings)
    extractors = [*extractors, *untrained_extractors(real.train if len(real.train) else real.held_out)]
    checks = check_extractors(
        extractors, real.held_out, settings.device, seed=settings.seed, batch_size=settings.batch_size
    )
    corrupted = corrupted_copies(real.held_out, settings.seed)
    features = [extract_sets(extractor, real, sets.patches, corrupted, settings) for extractor in extractors]
    say(f"evaluate: {len(features)} extractors computed the features of {len(sets.patches)} synthetic patches")
    classifiers = [extractor for extractor in extractors if isinstance(extractor, Classifier)]
    audit, pairs = _audit(features[max(1, len(classifiers)) - 1], real, sets, settings)
    return SyntheticFindings(
        pool=_pool(synthetic) if synthetic.is_pool and synthetic.scores else None,
        generative=_generative_rows(features, sets, settings),
        audit=audit,
        pairs=pairs,
        copies=[] if audit is None else copy_pairs(audit, sets.patches, real.train, settings.shown_pairs),
        projection=_project(features[0], real, sets, settings),
        checks=checks,
        realism=realism_of_sets(features, classifiers, real, sets, settings),
    )


def _generative_rows(
    features: Sequence[PatchFeatures], sets: SyntheticSets, settings: ComparisonSettings
) -> list[GenerativeRow]:
    """Compute all generative metrics of each subset against training and held-out patches, with each extractor.

    The last rows of an extractor compare held-out patches, and blurred and shuffled copies of them, with training
    patches. They show what real patches of other patients reach, and what no patch should reach. All rows have the same
    number of patches, as far as there are enough.
    """
    subsets = sets.subsets(settings.seed)
    count = min(len(features[0].held_out), max(len(rows) for rows in subsets.values()))
    rows = []
    for each in features:
        references = {TRAIN: each.train, HELD_OUT: each.held_out}
        frechet = {name: FrechetReference(real) for name, real in references.items() if len(real) > 1}
        fakes = {
            name: each.synthetic[subset_rows[draw_rows(len(subset_rows), count, settings.seed, "equal numbers")]]
            for name, subset_rows in subsets.items()
        }
        pairs = [(subset, against, fake) for subset, fake in fakes.items() for against in references]
        real_sets = {REAL: each.held_out, **each.corrupted}
        pairs += [
            (name, TRAIN, patches[draw_rows(len(patches), count, settings.seed, "equal numbers")])
            for name, patches in real_sets.items()
        ]
        for subset, against, fake in pairs:
            real = references[against]
            if not len(real) or not len(fake):
                continue
            metrics = generative_metrics(
                real,
                fake,
                each.extractor,
                neighbours=settings.neighbours,
                seed=settings.seed,
                reference=frechet.get(against),
            )
            rows.append(GenerativeRow(subset, against, metrics))
    return rows


def realism_of_sets(
    features: Sequence[PatchFeatures],
    classifiers: Sequence[Classifier],
    real: RealSets,
    sets: SyntheticSets,
    settings: ComparisonSettings,
) -> Realism:
    """Measure what the kept patches are, or all of them if none are kept."""
    judgement = None
    rows = np.flatnonzero(sets.kept) if sets.kept.any() else np.arange(len(sets.kept))
    patches = sets.patches.where(rows)
    spaces = {
        each.extractor: Sides(each.synthetic[rows], each.train, each.held_out)
        for each in features
        if each.extractor in UNTRAINED
    }
    if classifiers:
        selected = patches.info.made_by.get("scoring", {}).get("extractor") == classifiers[-1].info.digest
        judgement = judge_classes(
            classifiers[-1], patches, real.held_out, selected, settings.batch_size, settings.device
        )
    return measure_realism(
        SELECTED if sets.kept.any() else UNSELECTED,
        patches,
        patches.labels,
        real.train,
        real.held_out,
        pixels=spaces[PixelStatistics.name],
        spaces=Sides.join(list(spaces.values())),
        features=" and ".join(spaces),
        judgement=judgement,
        seed=settings.seed,
    )


def _audit(
    features: PatchFeatures, real: RealSets, sets: SyntheticSets, settings: ComparisonSettings
) -> tuple[MemorisationAudit | None, list[Pair]]:
    """Return the memorisation audit with its closest pairs, or None if one kind has fewer than two patches."""
    if min(len(features.train), len(features.held_out), len(features.synthetic)) < 2:
        return None, []
    audit = audit_features(
        (features.synthetic, features.train, features.held_out),
        features.extractor,
        (sets.patches, real.train, real.held_out),
        settings,
    )
    pairs = [
        Pair(
            class_name=sets.patches.classes[sets.patches.labels[pair.synthetic]],
            synthetic=_image(sets.patches, pair.synthetic),
            training=_image(real.train, pair.training),
            held_out=_image(real.held_out, pair.held_out),
            distance=pair.distance,
            held_out_distance=pair.held_out_distance,
        )
        for pair in audit.closest
    ]
    return audit, pairs


def audit_features(
    features: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    extractor: str,
    patches: tuple[PatchSet, PatchSet, PatchSet],
    settings: ComparisonSettings,
) -> MemorisationAudit:
    """Audit synthetic patches; `features` and `patches` are those of synthetic, training and held-out patches."""
    synthetic, train, _ = patches
    return audit_memorisation(
        EuclideanSpace(*features, extractor),
        pixels=AuditPixels(synthetic, train, max_compared=settings.copy_patches),
        classes=tuple(map(_class_names, patches)),  # type: ignore[arg-type]  # three, as there are sets
        n_closest=settings.shown_pairs,
        seed=settings.seed,
    )


def _class_names(patches: PatchSet) -> NDArray[np.object_]:
    return patches.index["class_name"].to_numpy(object)


def _project(
    features: PatchFeatures, real: RealSets, sets: SyntheticSets, settings: ComparisonSettings
) -> Projection | None:
    """Compute the t-SNE map of training patches and candidates, each drawn at random to keep the proportions.

    This uses one thread: t-SNE waits at a barrier a thousand times, which takes minutes if a pod may use fewer cores
    than the node has.
    """
    if not len(features.train) or len(features.train) + len(features.synthetic) < 5:
        return None
    with threadpool_limits(1):
        groups = embed({"real": features.train, "synthetic": features.synthetic}, settings.map_patches, settings.seed)
    reals, fakes = groups["real"], groups["synthetic"]
    origin = np.where(sets.kept[fakes.rows], "kept", "rejected")
    return Projection(
        points=np.concatenate([reals.points, fakes.points]).astype(np.float32),
        labels=np.concatenate([real.train.labels[reals.rows], sets.patches.labels[fakes.rows]]),
        origin=np.concatenate([np.full(len(reals.rows), "real"), origin]),
        extractor=features.extractor,
    )


def _pool(sets: SyntheticSets) -> PoolFindings:
    """Return the scored candidates and the rule that selected them."""
    rule = sets.patches.info.made_by.get("config", {}).get("rule", "")
    if rule in RULES:
        description, scores = RULES[rule].description, RULES[rule].scores
    else:
        description, scores = rule or "unknown", ()
    return PoolFindings(sets.patches.labels, sets.kept, sets.scores, description, scores)


def _image(patches: PatchSet, row: int) -> NDArray[np.uint8]:
    return patches.images(np.array([row]))[0]
