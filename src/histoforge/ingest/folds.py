"""Split a source for cross-validation: each patient is tested in one fold, and trains or validates in the others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.core.text import counted
from histoforge.patches.duplicates import DuplicatePixels
from histoforge.patches.splits import REMEDIES, split_by_group, split_into_folds

if TYPE_CHECKING:
    from histoforge.ingest.source import Source
    from histoforge.ingest.splitting import SplitSettings


def make_folds(settings: "SplitSettings", source: "Source", index: pd.DataFrame) -> list[NDArray[np.object_]]:
    """Return the split of each patch in each fold: 'test' in one of them, 'train' or 'val' in the others.

    The patients that a fold does not test are split by `split_by_group` in the proportion of the ratios of train and
    val, as a single split would be.

    Args:
        settings: the number of folds, the ratios and the seed; the ratio of test is not used.
        source: the source, which must not have a split of its own.
        index: one row per patch, with patient, slide and label.

    Raises:
        SourceError: the source has its own split, or too few patients, of all classes together or of one.
    """
    labels, groups = index["label"].to_numpy(np.int64), index[settings.split_by].astype(str).tolist()
    if source.has_split:
        raise SourceError(
            f"The source has a split of its own, which folds={settings.folds} would replace: set folds=0, or remove "
            "the column or the folders 'train', 'val' and 'test' that name it."
        )
    return split_folds(
        groups, labels, source.classes, settings.ratios, settings.folds, settings.seed, settings.split_by
    )


def split_folds(
    groups: Sequence[str],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    ratios: tuple[float, float, float],
    folds: int,
    seed: int,
    unit: str = "patient",
) -> list[NDArray[np.object_]]:
    """Return the split of each patch in each of `folds` folds; the arguments are those of `split_by_group`.

    Raises:
        SourceError: there are too few groups, of all classes together or of one.
    """
    names = np.asarray(groups, dtype=str)
    _check(names, labels, classes, ratios, folds, unit)
    test_fold = split_into_folds(groups, labels, len(classes), folds, seed)
    train, val, _ = ratios
    train_and_val = (train / (train + val), val / (train + val), 0.0)
    splits = []
    for fold in range(folds):
        training_rows = np.flatnonzero(test_fold != fold)
        in_fold = np.full(len(labels), "test", dtype=object)
        try:
            in_fold[training_rows] = split_by_group(
                names[training_rows].tolist(), labels[training_rows], classes, train_and_val, seed, unit
            )
        except SourceError as error:
            raise SourceError(f"Fold {fold} of folds={folds} has too few {unit}s to train: {error}") from None
        splits.append(in_fold)
    return splits


def tested_in(folds: list[NDArray[np.object_]]) -> NDArray[np.int64]:
    """Return the fold that tests each patch, int64 [N]."""
    return np.argmax([splits == "test" for splits in folds], axis=0)


def later_copies(leaks: DuplicatePixels, test_fold: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the rows of pixels in several folds to leave out: all but those of the first of these folds, bool [N]."""
    first = pd.Series(test_fold).groupby(leaks.groups).transform("min").to_numpy()
    return leaks.rows & (test_fold > first)


def fold_warnings(patches: pd.DataFrame, classes: Sequence[str], split_by: str, unit: str, folds: int) -> list[str]:
    """Return a warning per class that has too few patients to be tested in every fold.

    Args:
        patches: one row per patch, with class_name, and `split_by` as a column.
        classes: the class names.
        split_by: 'patient' or 'slide'.
        unit: word for several of these, in messages.
        folds: number of folds.
    """
    groups = patches.groupby("class_name")[split_by].nunique()
    return [
        f"Class '{name}' comes from {counted(int(groups.get(name, 0)), unit)}, fewer than folds={folds}: some folds do "
        "not test it, and scores are computed over all folds together"
        for name in classes
        if groups.get(name, 0) < folds
    ]


def _check(
    groups: NDArray[np.str_],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    ratios: tuple[float, float, float],
    folds: int,
    unit: str,
) -> None:
    count = len(set(groups))
    if count < folds:
        raise SourceError(
            f"The source has {counted(count, f'{unit}s')}, and folds={folds} needs at least one {unit} per fold: set "
            f"folds to at most {count}, add {unit}s, or {REMEDIES[unit]}."
        )
    needed = 1 + sum(ratio > 0 for ratio in ratios[:2])
    for label, name in enumerate(classes):
        there = len(set(groups[labels == label]))
        if there < needed:
            raise SourceError(
                f"Class '{name}' comes from {counted(there, f'{unit}s')}, and folds={folds} needs at least {needed}, "
                f"because each is tested in one fold while others train and validate: add {unit}s with it, exclude it "
                "with ignore_classes, or set folds=0."
            )
