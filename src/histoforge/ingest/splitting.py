"""Decide which patches to keep, and assign them to splits."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import SPLITS, IngestConfig
from histoforge.ingest.folds import later_copies, make_folds, tested_in
from histoforge.ingest.source import THINNED, ReadLog, Source
from histoforge.patches.duplicates import DuplicatePixels, find_duplicates
from histoforge.patches.patchset import UNUSED, fold_column
from histoforge.patches.splits import (
    check_every_class,
    check_given_split,
    fraction_of_each_class,
    hold_back,
    split_by_group,
)

CONFLICTS_NAME = "conflicts.csv"


@dataclass(frozen=True)
class SplitSettings:
    """Settings for splitting patches.

    Attributes:
        split_by: the unit that is never in two splits, 'patient' or 'slide'.
        ratios: fractions of train, val and test, which sum to 1.
        seed: seed of the split and of the sample of training patches.
        train_fraction: fraction of the training patches of each class to keep.
        control_share: share of the training patches to hold back for the positive control.
        drop_conflicts: whether to leave out patches whose pixels occur under two classes or in two splits.
        folds: number of folds of a cross-validation; 0 for a single split.
    """

    split_by: str
    ratios: tuple[float, float, float]
    seed: int
    train_fraction: float = 1.0
    drop_conflicts: bool = False
    control_share: float = 0.0
    folds: int = 0

    @classmethod
    def of(cls, config: IngestConfig) -> Self:
        """Return the settings for splitting in the configuration."""
        return cls(
            config.split_by,
            config.ratios,
            config.seed,
            config.train_fraction,
            config.drop_conflicts,
            config.control_share,
            config.folds,
        )


@dataclass(frozen=True)
class SplitPlan:
    """The patches to keep, their splits, and the origin of the split.

    Attributes:
        keep: bool [N].
        splits: [N]; '' if not kept. With folds, the splits of the first fold.
        split_by: the origin of train, val and test, as `make_splits` returns it.
        control_by: the unit held back for the positive control, as `hold_back_control` returns it; '' if there is none.
        folds: the splits of each fold, [N] each; empty without folds.
    """

    keep: NDArray[np.bool_]
    splits: NDArray[np.object_]
    split_by: str
    control_by: str = ""
    folds: list[NDArray[np.object_]] = field(default_factory=list)

    @property
    def columns(self) -> dict[str, NDArray[np.object_]]:
        """The columns of the folds in the patch set's index."""
        return {fold_column(fold): splits for fold, splits in enumerate(self.folds)}


def split_outline(settings: SplitSettings, source: Source) -> tuple[pd.DataFrame, str, str]:
    """Split the files before hours are spent on reading; each file counts as one patch of its class.

    Returns:
        The files with patient, slide, class_name and split, no rows if the source does not list them; the origin of the
        split, as `make_splits` returns it; and the unit of the control, as `hold_back_control` returns it.

    Raises:
        SourceError: the files cannot be split as requested.
    """
    table = pd.DataFrame(source.outline(), columns=["patient", "slide", "class_name", "split"])
    table = table[table["class_name"].isin(source.classes)]
    if not len(table):
        return table, settings.split_by, ""
    table = table.assign(label=table["class_name"].map(source.classes.index))
    if settings.folds:
        splits, control_by = hold_back_control(settings, source, table, make_folds(settings, source, table)[0])
        return table.assign(split=splits), settings.split_by, control_by
    splits, split_by = make_splits(settings, source, table)
    splits, control_by = hold_back_control(settings, source, table, splits)
    return table.assign(split=splits), split_by, control_by


def plan_splits(
    settings: SplitSettings, source: Source, log: ReadLog, collector: PatchCollector, index: pd.DataFrame
) -> SplitPlan:
    """Leave out patches that are damaged, over the cap or contradictory, split the rest, and thin the training patches.

    Args:
        settings: how to split.
        source: the source that was read.
        log: receives warnings, conflicts and numbers of dropped patches.
        collector: the patches that were read.
        index: their index.

    Raises:
        SourceError: nothing is left, or the rest cannot be split.
    """
    labels = index["label"].to_numpy(np.int64)
    keep = collector.intact & collector.cap.kept(collector.draws, labels)
    if not keep.any():
        raise _nothing_left(log)
    conflicts = find_duplicates(collector.keys[keep], index["class_name"][keep], index["file"][keep])
    keep = _resolve_conflicts(conflicts, conflicts.rows, "under two classes", keep, index, settings, log)
    if not keep.any():
        raise SourceError(f"All images in {log.source} have two classes: correct their labels.")
    if settings.folds:
        return _plan_folds(settings, source, log, collector, index, keep)
    splits = np.full(len(index), "", dtype=object)
    splits[keep], split_by = make_splits(settings, source, index[keep])
    for table in log.conflicts:
        table["split"] = splits[table.index.to_numpy()]
    leaks = find_duplicates(collector.keys[keep], splits[keep], index["file"][keep])
    rows = leaks.rows & (splits[keep] != "train")
    keep = _resolve_conflicts(leaks, rows, "in two splits", keep, index.assign(split=splits), settings, log)
    check_every_class(labels[keep], splits[keep], source.classes, [split for split in SPLITS if split in splits])
    splits[keep], control_by = hold_back_control(settings, source, index[keep], splits[keep])
    thinned = keep & (splits == "")
    log.drop(THINNED, int(thinned.sum()))
    return SplitPlan(keep & ~thinned, splits, split_by, control_by)


def hold_back_control(
    settings: SplitSettings, source: Source, index: pd.DataFrame, splits: NDArray[np.object_]
) -> tuple[NDArray[np.object_], str]:
    """Thin the training patches, and hold back those of the positive control.

    The control never costs more than it must: where `train_fraction` leaves out training patches, the control is drawn
    from these, which belong to the training patients. Otherwise whole patients are held back, or whole slides or single
    patches of training patients where there are too few patients (`splits.hold_back`).

    Args:
        settings: how to split.
        source: the source of the patches.
        index: one row per patch, with patient, slide, file and label.
        splits: the split of each patch, [N].

    Returns:
        The split of each patch, 'control' for those held back and '' for the others beyond `train_fraction`; and the
        unit that was held back: 'patient', 'slide' or 'patch', or '' if there is no control.
    """
    splits, train = splits.copy(), np.flatnonzero(splits == "train")
    share, fraction = settings.control_share, settings.train_fraction
    labels = index["label"].to_numpy(np.int64)[train]
    if not len(train):
        return splits, ""
    if source.thinned is not None:
        splits[train[index["file"].iloc[train].isin(source.thinned).to_numpy()]] = "control"
    elif fraction < 1:
        kept = fraction_of_each_class(labels, fraction, settings.seed)
        control = fraction_of_each_class(labels, min(1.0, fraction + share), settings.seed) if share else kept
        splits[train[~kept]] = ""
        splits[train[control & ~kept]] = "control"
    elif share:
        names = ["patient", "slide"] if settings.split_by == "patient" else ["slide"]
        units = {name: index[name].iloc[train].astype(str).tolist() for name in names}
        mask, unit = hold_back(units, labels, source.classes, share, settings.seed)
        splits[train[mask]] = "control"
        return splits, unit
    return splits, "patch" if (splits == "control").any() else ""


def _plan_folds(
    settings: SplitSettings,
    source: Source,
    log: ReadLog,
    collector: PatchCollector,
    index: pd.DataFrame,
    keep: NDArray[np.bool_],
) -> SplitPlan:
    """Split the patches to keep into folds. Training patches that are thinned are 'unused' in their fold.

    Every patch remains in the patch set, because one of the folds tests it.
    """
    labels = index["label"].to_numpy(np.int64)
    folds = [_spread(splits, keep) for splits in make_folds(settings, source, index[keep])]
    for table in log.conflicts:
        table["split"] = folds[0][table.index.to_numpy()]
    tested = tested_in([splits[keep] for splits in folds])
    names = [f"fold {fold}" for fold in tested.tolist()]
    leaks = find_duplicates(collector.keys[keep], names, index["file"][keep])
    rows = later_copies(leaks, tested)
    keep = _resolve_conflicts(leaks, rows, "in two folds", keep, index.assign(split=folds[0]), settings, log)
    train_and_val = [split for split in SPLITS[:2] if split in folds[0]]
    held_back = set()
    for splits in folds:
        check_every_class(labels[keep], splits[keep], source.classes, train_and_val)
        splits[keep], control_by = hold_back_control(settings, source, index[keep], splits[keep])
        splits[keep & (splits == "")] = UNUSED
        held_back.add(control_by)
    weakest = next(unit for unit in ("patch", "slide", "patient", "") if unit in held_back)
    return SplitPlan(keep, folds[0], settings.split_by, weakest, folds)


def _spread(splits: NDArray[np.object_], keep: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Return the splits of all patches, given those of the patches to keep; '' for the others."""
    spread = np.full(len(keep), "", dtype=object)
    spread[keep] = splits
    return spread


def make_splits(settings: SplitSettings, source: Source, index: pd.DataFrame) -> tuple[NDArray[np.object_], str]:
    """Return the split of each patch and its origin: 'patient', 'slide', or 'source'.

    If the source's own split lacks val or test, these are split off from its training patients.

    Raises:
        SourceError: a patient is in two splits, or a class cannot be in every split.
    """
    labels, groups = index["label"].to_numpy(np.int64), index[settings.split_by].tolist()
    if not source.has_split:
        splits = split_by_group(groups, labels, source.classes, settings.ratios, settings.seed, settings.split_by)
        return splits, settings.split_by
    splits = index["split"].to_numpy(dtype=object).copy()
    check_given_split(groups, splits, settings.split_by)
    present = set(splits)
    if "train" in present:
        shares = np.array(
            [0.0 if split in present - {"train"} else settings.ratios[i] for i, split in enumerate(SPLITS)]
        )
        train = np.flatnonzero(splits == "train")
        if shares[1:].any():
            to_train, to_val, to_test = (shares / shares.sum()).tolist()
            splits[train] = split_by_group(
                [groups[row] for row in train],
                labels[train],
                source.classes,
                (to_train, to_val, to_test),
                settings.seed,
                settings.split_by,
            )
    check_every_class(labels, splits, source.classes, [split for split in SPLITS if split in splits])
    return splits, "source"


def _resolve_conflicts(
    duplicates: DuplicatePixels,
    rows: NDArray[np.bool_],
    where: str,
    keep: NDArray[np.bool_],
    index: pd.DataFrame,
    settings: SplitSettings,
    log: ReadLog,
) -> NDArray[np.bool_]:
    """Warn about pixels that occur twice, list them, and leave out `rows` (of those kept so far) if requested."""
    if not duplicates.count:
        return keep
    advice = "they were left out" if settings.drop_conflicts else "set drop_conflicts to leave them out"
    log.warnings.append(
        f"{duplicates.sentence(where)}; all {duplicates.count} are in {CONFLICTS_NAME} of the patch set; {advice}"
    )
    log.conflicts.append(_conflict_table(duplicates, rows & settings.drop_conflicts, where, index[keep]))
    if not settings.drop_conflicts:
        return keep
    smaller = keep.copy()
    smaller[np.flatnonzero(keep)[rows]] = False
    log.drop(f"patches {where}", int(rows.sum()))
    return smaller


def _conflict_table(
    duplicates: DuplicatePixels, left_out: NDArray[np.bool_], where: str, index: pd.DataFrame
) -> pd.DataFrame:
    """Return the patches that share their pixels, by image; `index` and `left_out` have the rows of `duplicates`."""
    columns = index[["file", "x", "y", "class_name", "split"]]
    table = columns.assign(same_pixels=where, picture=duplicates.groups, left_out=left_out)[duplicates.rows]
    first = ["same_pixels", "picture"]
    return table[[*first, *columns.columns, "left_out"]].sort_values("picture", kind="stable")


def _nothing_left(log: ReadLog) -> SourceError:
    if log.failed:
        first = log.failed[0]
        return SourceError(
            f"None of the slides or images in {log.source} could be used; the first is {first.name}: {first.reason}"
        )
    return SourceError(
        f"{log.source} yields no patches: choose a smaller min_tissue, another mpp, or a smaller patch_size."
    )
