"""Select the patches to keep, and assign them to splits."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.ingest.base import Reading, Source
from histoforge.ingest.collector import PatchCollector
from histoforge.ingest.config import SPLITS, IngestConfig
from histoforge.patches.duplicates import DuplicatePixels, find_duplicates
from histoforge.patches.splits import (
    check_every_class,
    check_given_split,
    fraction_of_each_class,
    split_by_group,
)

CONFLICTS_NAME = "conflicts.csv"
THINNED = "training patches beyond train_fraction"


@dataclass(frozen=True)
class Choice:
    """The patches to keep (bool [N]), their splits ([N]; '' if not kept), and the origin of the split."""

    keep: NDArray[np.bool_]
    splits: NDArray[np.object_]
    split_by: str


def check_early(config: IngestConfig, source: Source) -> None:
    """Detect an impossible split before hours are spent on reading. Each file counts as one patch of its class."""
    table = pd.DataFrame(source.outline(), columns=["patient", "slide", "class_name", "split"])
    table = table[table["class_name"].isin(source.classes)]
    if len(table):
        make_splits(config, source, table.assign(label=table["class_name"].map(source.classes.index)))


def choose(config: IngestConfig, source: Source, reading: Reading, sink: PatchCollector, index: pd.DataFrame) -> Choice:
    """Leave out patches that are damaged, over the cap or contradictory, split the rest, and thin the training patches.

    Raises:
        SourceError: if nothing is left, or the rest cannot be split.
    """
    labels = index["label"].to_numpy(np.int64)
    keep = sink.whole & sink.cap.kept(sink.draws, labels)
    if not keep.any():
        raise _nothing_left(config, reading)
    conflicts = find_duplicates(sink.keys[keep], index["class_name"][keep], index["file"][keep])
    keep = _settle(conflicts, conflicts.rows, "under two classes", keep, index, config, reading)
    if not keep.any():
        raise SourceError(f"All images in {config.source} stand under two classes: correct their labels.")
    splits = np.full(len(index), "", dtype=object)
    splits[keep], split_by = make_splits(config, source, index[keep])
    leaks = find_duplicates(sink.keys[keep], splits[keep], index["file"][keep])
    rows = leaks.rows & (splits[keep] != "train")
    keep = _settle(leaks, rows, "in two splits", keep, index.assign(split=splits), config, reading)
    check_every_class(labels[keep], splits[keep], source.classes, [split for split in SPLITS if split in splits])
    if config.train_fraction < 1 and source.kind != "pcam":
        train = np.flatnonzero(keep & (splits == "train"))
        thinned = ~fraction_of_each_class(labels[train], config.train_fraction, config.seed)
        keep[train[thinned]] = False
        reading.drop(THINNED, int(thinned.sum()))
    return Choice(keep, splits, split_by)


def make_splits(config: IngestConfig, source: Source, index: pd.DataFrame) -> tuple[NDArray[np.object_], str]:
    """Return the split of each patch and its origin: 'patient', 'slide', or 'source'.

    If the source's own split lacks val or test, these are split off from its training patients.

    Raises:
        SourceError: if a patient is in two splits, or a class cannot be in every split.
    """
    labels, groups = index["label"].to_numpy(np.int64), index[config.split_by].tolist()
    if not source.own_split:
        splits = split_by_group(groups, labels, source.classes, config.ratios, config.seed, config.split_by)
        return splits, config.split_by
    splits = index["split"].to_numpy(dtype=object).copy()
    check_given_split(groups, splits, config.split_by)
    there = set(splits)
    if "train" in there:
        rest = np.array([0.0 if split in there - {"train"} else config.ratios[i] for i, split in enumerate(SPLITS)])
        train = np.flatnonzero(splits == "train")
        if rest[1:].any():
            to_train, to_val, to_test = (rest / rest.sum()).tolist()
            splits[train] = split_by_group(
                [groups[row] for row in train],
                labels[train],
                source.classes,
                (to_train, to_val, to_test),
                config.seed,
                config.split_by,
            )
    check_every_class(labels, splits, source.classes, [split for split in SPLITS if split in splits])
    return splits, "source"


def _settle(
    twins: DuplicatePixels,
    rows: NDArray[np.bool_],
    where: str,
    keep: NDArray[np.bool_],
    index: pd.DataFrame,
    config: IngestConfig,
    reading: Reading,
) -> NDArray[np.bool_]:
    """Warn of pixels that occur twice, list them, and leave out `rows` (of those kept so far) if the user says so."""
    if not twins.count:
        return keep
    advice = "they were left out" if config.drop_conflicts else "set drop_conflicts to leave them out"
    reading.warnings.append(
        f"{twins.sentence(where)}; all {twins.count} are in {CONFLICTS_NAME} of the patch set; {advice}"
    )
    reading.conflicts.append(_listed(twins, rows & config.drop_conflicts, where, index[keep]))
    if not config.drop_conflicts:
        return keep
    smaller = keep.copy()
    smaller[np.flatnonzero(keep)[rows]] = False
    reading.drop(f"patches {where}", int(rows.sum()))
    return smaller


def _listed(twins: DuplicatePixels, left_out: NDArray[np.bool_], where: str, index: pd.DataFrame) -> pd.DataFrame:
    """List the patches that share their pixels, picture by picture; `index` and `left_out` have the rows of `twins`."""
    facts = index[["file", "x", "y", "class_name", "split"]].reset_index(drop=True)
    table = facts.assign(same_pixels=where, picture=twins.groups, left_out=left_out)[twins.rows]
    first = ["same_pixels", "picture"]
    return table[[*first, *facts.columns, "left_out"]].sort_values("picture", kind="stable")


def _nothing_left(config: IngestConfig, reading: Reading) -> SourceError:
    if reading.failed:
        first = reading.failed[0]
        return SourceError(
            f"None of the slides or images in {config.source} could be used; {first.name} is the first: {first.reason}"
        )
    return SourceError(
        f"{config.source} gives no patch: choose a smaller min_tissue, another mpp, or a smaller patch_size."
    )
