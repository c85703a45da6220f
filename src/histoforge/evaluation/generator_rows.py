"""Every generator of a study with several folds or generators: its epoch, its realism, its audit.

Each generator is compared with the training patches of its own fold, which it has seen, and with the patches that this
fold tests.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from histoforge.classifiers.network import Classifier
from histoforge.core.progress import say
from histoforge.evaluation.drawn_sets import DrawnSet
from histoforge.evaluation.findings import GeneratorRow, SyntheticFindings
from histoforge.evaluation.inputs import training_patches
from histoforge.evaluation.patch_features import ComparisonSettings, RealSets, extract_sets
from histoforge.evaluation.pictures import generator_record
from histoforge.evaluation.spaces import DISTANCES, order_warnings
from histoforge.evaluation.synthetic import HELD_OUT, audit_features, realism_of_sets
from histoforge.evaluation.synthetic_sets import SELECTED, SyntheticSets, draw_rows
from histoforge.metrics.extract import Extractor
from histoforge.metrics.generative import GenerativeMetrics, generative_metrics
from histoforge.metrics.table import METRICS
from histoforge.metrics.untrained import untrained_extractors
from histoforge.patches import PatchSet


def generator_rows(
    drawn: Sequence[DrawnSet],
    first: SyntheticFindings,
    real: PatchSet,
    extractors: Mapping[int, Sequence[Extractor]],
    published: Sequence[Extractor],
    settings: ComparisonSettings,
) -> list[GeneratorRow]:
    """Return a row per generator, in their order; none if there is only one, which the report shows in detail.

    Args:
        drawn: the generators and their patches.
        first: what was found about the first one.
        real: the patch set.
        extractors: the extractors of each fold; the last one is the judge, in whose features the audit is made.
        published: extractors with published weights, whose spaces are added where patches were given.
        settings: settings of the comparison.
    """
    if len(drawn) < 2:
        return []
    rows = []
    for number, each in enumerate(drawn):
        row = _described(each)
        if each.sets is not None:
            *first_extractors, judge = extractors[each.fold]
            spaces = [*first_extractors, *published] if each.name else []
            row |= _found(first) if number == 0 else _compare(each.fold, each.sets, real, judge, spaces, settings)
        rows.append(GeneratorRow(**row))
        say(f"evaluate: generator {number + 1} of {len(drawn)} compared with the patches of its fold")
    return rows


def copy_warnings(rows: Sequence[GeneratorRow]) -> list[str]:
    """Return a warning if generators other than the first, whose audit the report shows, copied training patches."""
    copied = [row.place for row in rows[1:] if row.copied]
    if not copied:
        return []
    places = "; ".join(copied)
    return [f"Copies of training patches were also found among those of {len(copied)} more generators: {places}."]


def distances_of_sets(rows: Sequence[GeneratorRow], metric: str) -> dict[str, dict[str, float]]:
    """Return the mean of a distance over the folds, a key of `METRICS`, for each given set, by extractor and name."""
    values: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        for metrics in row.generative if row.name else ():
            value = METRICS[metric].scaled(metrics.value(metric))
            if value is not None:
                values.setdefault(metrics.extractor, {}).setdefault(row.name, []).append(value)
    return {
        extractor: {name: float(np.mean(of_folds)) for name, of_folds in by_name.items()}
        for extractor, by_name in values.items()
    }


def distance_warnings(rows: Sequence[GeneratorRow]) -> list[str]:
    """Warn of each distance whose order of the given sets depends on the space, and of unequal numbers."""
    by_metric = ((METRICS[name].title, distances_of_sets(rows, name)) for name in DISTANCES)
    warnings = [warning for title, distances in by_metric for warning in order_warnings(distances, title)]
    given = [(row.fold, metrics.n_fake) for row in rows if row.name for metrics in row.generative]
    if len(set(given)) > len({fold for fold, _ in given}):
        warnings.append("The synthetic sets were compared in different numbers of patches: do not compare their FIDs.")
    return warnings


def _described(drawn: DrawnSet) -> dict[str, Any]:
    """Return the entries of a row that need no patches."""
    row: dict[str, Any] = {"name": drawn.name, "fold": drawn.fold, "generator_seed": drawn.generator_seed}
    if drawn.generator is not None and drawn.info is not None:
        epochs = generator_record(drawn.generator).chosen_epochs
        row |= {"digest": drawn.info.digest, "epochs": dict(epochs)}
    if drawn.sets is not None:
        row |= {"candidates": len(drawn.sets.kept) if drawn.sets.is_pool else 0, "kept": int(drawn.sets.kept.sum())}
    return row


def _found(first: SyntheticFindings) -> dict[str, Any]:
    """Return what the detailed comparison of the first generator found."""
    if first.audit is None:
        return {}
    name = first.audit.extractor
    subsets: dict[str, list[GenerativeMetrics]] = {}
    for row in first.generative:
        if row.against == HELD_OUT:
            subsets.setdefault(row.subset, []).append(row.metrics)
    generative = subsets.get(SELECTED, next(iter(subsets.values()), []))
    return {
        "extractor": name,
        "fid": next((metrics.fid for metrics in generative if metrics.extractor == name), None),
        "generative": generative,
        "realism": first.realism,
        "copied": first.audit.copied,
        "verdict": first.audit.verdict,
    }


def _compare(
    fold: int,
    synthetic: SyntheticSets,
    whole: PatchSet,
    judge: Extractor,
    spaces: Sequence[Extractor],
    settings: ComparisonSettings,
) -> dict[str, Any]:
    """Compare the patches of a generator with those of its fold, in the features of the judge and in further spaces."""
    in_fold = whole.in_fold(fold)
    real = RealSets.sample(training_patches(in_fold), in_fold.split("test"), settings)
    sets = synthetic.sample(settings.metric_patches, settings.seed)
    if min(len(real.train), len(real.held_out), len(sets.patches)) < 2:
        return {}
    features = [
        extract_sets(extractor, real, sets.patches, {}, settings)
        for extractor in (judge, *spaces, *untrained_extractors(real.train))
    ]
    by_judge = features[0]
    audit = audit_features(
        (by_judge.synthetic, by_judge.train, by_judge.held_out),
        judge.name,
        (sets.patches, real.train, real.held_out),
        settings,
    )
    rows = sets.subsets(settings.seed)
    chosen = rows.get(SELECTED, next(iter(rows.values())))
    chosen = chosen[draw_rows(len(chosen), len(real.held_out), settings.seed, "equal numbers")]
    generative = [
        generative_metrics(
            each.held_out, each.synthetic[chosen], each.extractor, neighbours=settings.neighbours, seed=settings.seed
        )
        for each in (features if spaces else features[:1])
        if len(chosen)
    ]
    classifiers = [judge] if isinstance(judge, Classifier) else []
    return {
        "extractor": judge.name,
        "fid": generative[0].fid if generative else None,
        "generative": generative,
        "realism": realism_of_sets(features, classifiers, real, sets, settings),
        "copied": audit.copied,
        "verdict": audit.verdict,
    }
