"""Check, before any training, whether a split is large enough for a conclusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.core.text import counted
from histoforge.ingest.folds import fold_warnings, split_folds
from histoforge.ingest.source import Source, patient_unit
from histoforge.ingest.splitting import SplitSettings, split_outline
from histoforge.metrics.bootstrap import MIN_PATIENTS
from histoforge.metrics.compare import MIN_SEEDS
from histoforge.patches.splits import MIN_GROUPS, split_by_group

MIN_CLASS_PATIENTS = 2
"""Minimum number of test patients of each class: if one of them is left out, the class remains."""
LARGE_ENOUGH = f"The test split is large enough for a conclusion, which also needs at least {MIN_SEEDS} seeds per arm"
SHOWN_CLASSES = 3
PROPOSED_FOLDS = (5, 4, 3, 2)
TEST_SHARES = (0.2, 0.3, 0.4, 0.5)
MAX_SEARCHED_PATIENTS = 1000


def outline_warnings(settings: SplitSettings, source: Source) -> list[str]:
    """Return the warnings about a split that are known before a slide or image is read.

    Raises:
        SourceError: the files cannot be split as requested.
    """
    files, split_by, control_by = split_outline(settings, source)
    if not len(files):
        return []
    return control_warning(control_by, settings, patient_unit(source)) + split_warnings(
        files,
        source.classes,
        unit=patient_unit(source),
        split_by=split_by,
        ratios=settings.ratios,
        seed=settings.seed,
        folds=settings.folds,
        expected=True,
    )


def split_warnings(
    patches: pd.DataFrame,
    classes: Sequence[str],
    *,
    unit: str,
    split_by: str,
    ratios: tuple[float, float, float],
    seed: int,
    folds: int = 0,
    expected: bool = False,
) -> list[str]:
    """Return warnings about what the splits are too small for, one sentence each.

    Args:
        patches: one row per patch, or per file that has not been read, with patient, slide, class_name and split.
        classes: the class names.
        unit: word for the values of the column 'patient': 'patients', or 'slides' or 'images' if none are known.
        split_by: origin of the split: 'patient', 'slide' or 'source'.
        ratios: ratios of the split, which sum to 1.
        seed: seed of the split.
        folds: number of folds, which together test every patient; 0 for a single split.
        expected: True if the split is only expected, because no file has been read.
    """
    present = set(patches["split"])
    warnings = []
    if "train" in present and "val" not in present:
        warnings.append(
            "There are no validation patches, which train-classifier and finetune-snn need to choose an epoch: give "
            "split_ratios three numbers above 0 to train on this patch set"
        )
    if "test" not in present:
        warnings.append(
            "There are no test patches, which evaluate needs: give the third number of split_ratios a value above 0"
        )
    else:
        tested = patches.assign(split="test") if folds else patches
        if shortages := _shortages(tested, classes, unit):
            subject = "The test of all folds together" if folds else "The test split"
            verb = "will probably be" if expected else "is"
            advice = _SplitSearch(tested, classes, unit, split_by, ratios, seed).advice()
            warnings.append(f"{subject} {verb} too small for a conclusion ({'; '.join(shortages)}): {advice}")
    return [*warnings, *(fold_warnings(patches, classes, split_by, unit, folds) if folds else [])]


def control_warning(held_back: str, settings: SplitSettings, unit: str) -> list[str]:
    """Return a warning if the positive control comes from training patients because there are too few others.

    Args:
        held_back: what was held back, as `splitting.hold_back_control` returns it.
        settings: how the patches were split.
        unit: word for patients; see `split_warnings`.
    """
    if settings.train_fraction < 1 or held_back in ("", settings.split_by):
        return []
    return [
        f"The real patches held back for the positive control belong to training {unit}, because a class has fewer "
        f"than {MIN_GROUPS} of them"
    ]


def enough_for_conclusion(patients: Mapping[str, int], by_class: Mapping[str, Mapping[str, int]]) -> bool:
    """Return True if the test split has enough patients, given the numbers by split and by split and class."""
    if "test" not in patients:
        return False
    return patients["test"] >= MIN_PATIENTS and min(by_class["test"].values()) >= MIN_CLASS_PATIENTS


def seed_warning(seeds: int) -> list[str]:
    """Return a warning if an arm has too few classifiers for a conclusion."""
    if seeds >= MIN_SEEDS:
        return []
    return [f"'train_classifier.seeds' is {seeds}, and a conclusion needs at least {MIN_SEEDS} seeds: increase it"]


def _shortages(patches: pd.DataFrame, classes: Sequence[str], unit: str) -> list[str]:
    """Return what the test split has too little of."""
    test = patches[patches["split"] == "test"]
    total, by_class = test["patient"].nunique(), test.groupby("class_name")["patient"].nunique()
    shortages = []
    if total < MIN_PATIENTS:
        shortages.append(f"it has {counted(total, unit)}, and at least {MIN_PATIENTS} are needed")
    rare = [name for name in classes if by_class.get(name, 0) < MIN_CLASS_PATIENTS]
    if rare:
        listed = [f"class '{name}' has {counted(by_class.get(name, 0), unit)}" for name in rare[:SHOWN_CLASSES]]
        more = [f"{len(rare) - SHOWN_CLASSES} more classes have too few"] if len(rare) > SHOWN_CLASSES else []
        shortages.append(f"{', '.join(listed + more)}, and at least {MIN_CLASS_PATIENTS} per class are needed")
    return shortages


@dataclass(frozen=True)
class _SplitSearch:
    """The search for a split of the same patches that tests enough patients; for the fields see `split_warnings`."""

    patches: pd.DataFrame
    classes: Sequence[str]
    unit: str
    split_by: str
    ratios: tuple[float, float, float]
    seed: int

    def advice(self) -> str:
        """Return what a user can do about a test split that is too small."""
        patches, unit = self.patches, self.unit
        if self.split_by == "source":
            return f"add {unit} to the source's test split"
        if not self.ratios[0] or set(patches["split"]) == {"test"}:
            return f"add {unit}"
        remedies = []
        if len(set(self._groups)) <= MAX_SEARCHED_PATIENTS:
            if folds := self._sufficient_folds():
                remedies.append(f"set folds={folds}, which tests each of the {len(set(self._groups))} {unit} once")
            if ratios := self._larger_test_split():
                remedies.append(f"set split_ratios={ratios}")
        if not remedies and self.split_by == "patient" and patches["slide"].nunique() > patches["patient"].nunique():
            remedies.append("set split_by=slide, which makes all results too optimistic")
        return ", ".join([f"add {unit}", *remedies[:-1], *(f"or {remedy}" for remedy in remedies[-1:])])

    @cached_property
    def _groups(self) -> list[str]:
        return self.patches[self.split_by].astype(str).tolist()

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        return self.patches["class_name"].map(list(self.classes).index).to_numpy(np.int64)

    def _suffices(self, splits: str | NDArray[np.object_]) -> bool:
        return not _shortages(self.patches.assign(split=splits), self.classes, self.unit)

    def _sufficient_folds(self) -> int:
        """Return a number of folds that together test enough patients, or 0 if there is none."""
        if not self._suffices("test"):
            return 0
        for folds in PROPOSED_FOLDS:
            try:
                split_folds(self._groups, self._labels, self.classes, self.ratios, folds, self.seed, self.split_by)
            except SourceError:
                continue
            return folds
        return 0

    def _larger_test_split(self) -> str:
        """Return the ratios with the smallest test split that suffices, or '' if there are none."""
        count = len(set(self._groups))
        val = max(1, round(count * self.ratios[1])) if self.ratios[1] else 0
        for test in sorted({max(MIN_PATIENTS, round(share * count)) for share in TEST_SHARES}):
            train = count - val - test
            if train < max(val, MIN_CLASS_PATIENTS):
                break
            shares = (train / count, val / count, test / count)
            try:
                splits = split_by_group(self._groups, self._labels, self.classes, shares, self.seed, self.split_by)
            except SourceError:
                return ""
            if self._suffices(splits):
                return f"{train}:{val}:{test}"
        return ""
