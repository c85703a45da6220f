"""Every generator of a study with several folds or generators: its epoch, its realism, its audit.

Each generator is compared with the training patches of its own fold, which it has seen, and with the patches that this
fold tests.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from histoforge.classifiers.network import Classifier
from histoforge.core.progress import say
from histoforge.evaluation.drawn_sets import DrawnSet
from histoforge.evaluation.findings import GeneratorRow, SyntheticFindings
from histoforge.evaluation.inputs import training_patches
from histoforge.evaluation.patch_features import ComparisonSettings, RealSets, extract_sets
from histoforge.evaluation.pictures import generator_record
from histoforge.evaluation.synthetic import HELD_OUT, audit_features, realism_of_sets
from histoforge.evaluation.synthetic_sets import SELECTED, SyntheticSets
from histoforge.metrics.extract import Extractor
from histoforge.metrics.generative import generative_metrics
from histoforge.metrics.untrained import untrained_extractors
from histoforge.patches import PatchSet


def generator_rows(
    drawn: Sequence[DrawnSet],
    first: SyntheticFindings,
    real: PatchSet,
    extractors: Mapping[int, Sequence[Extractor]],
    settings: ComparisonSettings,
) -> list[GeneratorRow]:
    """Return a row per generator, in their order; none if there is only one, which the report shows in detail.

    Args:
        drawn: the generators and their patches.
        first: what was found about the first one.
        real: the patch set.
        extractors: the extractors of each fold; the last one computes the features of distances and audit.
        settings: settings of the comparison.
    """
    if len(drawn) < 2:
        return []
    rows = []
    for number, each in enumerate(drawn):
        row = _described(each)
        if each.sets is not None:
            row |= _found(first) if number == 0 else _compare(each, each.sets, real, extractors, settings)
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
    rows = [row for row in first.generative if row.against == HELD_OUT and row.metrics.extractor == name]
    fid = {row.subset: row.metrics.fid for row in rows}
    chosen = fid.get(SELECTED, next(iter(fid.values()), None))
    audit = {"copied": first.audit.copied, "verdict": first.audit.verdict}
    return {"extractor": name, "fid": chosen, "realism": first.realism, **audit}


def _compare(
    drawn: DrawnSet,
    synthetic: SyntheticSets,
    whole: PatchSet,
    extractors: Mapping[int, Sequence[Extractor]],
    settings: ComparisonSettings,
) -> dict[str, Any]:
    """Compare the patches of a generator with those of its fold."""
    in_fold = whole.in_fold(drawn.fold)
    real = RealSets.sample(training_patches(in_fold), in_fold.split("test"), settings)
    sets = synthetic.sample(settings.metric_patches, settings.seed)
    if min(len(real.train), len(real.held_out), len(sets.patches)) < 2:
        return {}
    judge = extractors[drawn.fold][-1]
    features = [
        extract_sets(extractor, real, sets.patches, {}, settings)
        for extractor in (judge, *untrained_extractors(real.train))
    ]
    by_judge = features[0]
    audit = audit_features(
        (by_judge.synthetic, by_judge.train, by_judge.held_out),
        judge.name,
        (sets.patches, real.train, real.held_out),
        settings,
    )
    rows = sets.subsets(settings.seed)
    chosen = by_judge.synthetic[rows.get(SELECTED, next(iter(rows.values())))]
    fid = (
        generative_metrics(
            by_judge.held_out, chosen, judge.name, neighbours=settings.neighbours, seed=settings.seed
        ).fid
        if len(chosen)
        else None
    )
    classifiers = [judge] if isinstance(judge, Classifier) else []
    return {
        "extractor": judge.name,
        "fid": fid,
        "realism": realism_of_sets(features, classifiers, real, sets, settings),
        "copied": audit.copied,
        "verdict": audit.verdict,
    }
