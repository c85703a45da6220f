"""The arms of an evaluation: the directories of one name are one arm, of several folds or several generators.

A run of an arm is one seed of its classifiers with one seed of its generator. In a cross-validation it consists of one
classifier per fold, which together predict every patient once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histoforge.classifiers.arms import read_arm
from histoforge.core.errors import SettingsError
from histoforge.core.text import counted, join_words
from histoforge.evaluation.arm_factors import Factors, arm_factors
from histoforge.patches import PatchSet
from histoforge.patches.patchset import fold_column


class RunKey(NamedTuple):
    """A run of an arm: the seed of its generator, None without one or if it is not recorded, and of its classifiers."""

    generator_seed: int | None
    seed: int


@dataclass(frozen=True)
class ArmPart:
    """An arm directory: the classifiers of one fold and one generator, and the contents of its `arm.json`."""

    path: Path
    document: Mapping[str, Any]

    @property
    def fold(self) -> int:
        """The fold that it was trained on; -1 for a single split."""
        return int(self.document.get("fold", -1))

    @property
    def generator_seed(self) -> int | None:
        """The seed of the generator of its synthetic patches; None if there is none, or it is not recorded."""
        seed = self.document.get("generator_seed")
        return None if seed is None else int(seed)

    @property
    def generator(self) -> str | None:
        """The origin of its synthetic patches: the digest of their generator, or else of their patch set."""
        return self.document.get("generator") or self.document.get("digests", {}).get("synthetic")

    @property
    def seeds(self) -> list[int]:
        """Its seeds in ascending order."""
        return sorted(self.document["seeds"])

    def training(self, seed: int) -> Mapping[str, Any]:
        """Return the record of the training of a seed's classifier."""
        return next(run for run in self.document["runs"] if run["seed"] == seed)


@dataclass(frozen=True)
class ArmInput:
    """An arm: one directory, or one per fold and generator, ordered by generator seed and fold."""

    parts: tuple[ArmPart, ...]

    @property
    def document(self) -> Mapping[str, Any]:
        """The contents of the first directory's `arm.json`."""
        return self.parts[0].document

    @property
    def name(self) -> str:
        """The arm's name."""
        return str(self.document["arm"])

    @property
    def factors(self) -> Factors:
        """Its factors in a study; empty otherwise."""
        return arm_factors(self.document)

    @property
    def is_control(self) -> bool:
        """True if held-back real patches took the place of synthetic ones."""
        return bool(self.document.get("counts", {}).get("control"))

    @property
    def folds(self) -> list[int]:
        """The folds that it was trained on, in ascending order; [-1] for a single split."""
        return sorted({part.fold for part in self.parts})

    @property
    def runs(self) -> list[RunKey]:
        """Its runs, ordered by generator seed and seed."""
        return list(dict.fromkeys(RunKey(part.generator_seed, seed) for part in self.parts for seed in part.seeds))

    @property
    def seeds(self) -> list[int]:
        """The seed of each run."""
        return [run.seed for run in self.runs]

    def parts_of(self, run: RunKey) -> list[ArmPart]:
        """Return the directories with the classifiers of a run, one per fold in ascending order."""
        return [part for part in self.parts if part.generator_seed == run.generator_seed]

    def generator_of(self, run: RunKey) -> str | None:
        """Return the origin of a run's synthetic patches, the digests of its generators; None if it has none."""
        digests = [part.generator for part in self.parts_of(run) if part.generator]
        return "+".join(digests) or None


@dataclass(frozen=True)
class TestPatches:
    """The patches that an evaluation tests.

    Attributes:
        patches: all of them.
        rows: for each fold, those that it tests: indices into `patches`, int64 [n].
    """

    __test__ = False

    patches: PatchSet
    rows: Mapping[int, NDArray[np.int64]]


def open_parts(paths: Sequence[Path]) -> list[ArmInput]:
    """Return the arms in the order in which their names first occur.

    Raises:
        SettingsError: if there are no arms, two directories repeat each other, or an arm lacks a fold or a seed.
        ModelError: if an arm is damaged.
    """
    if not paths:
        raise SettingsError("There are no arms to compare: give at least one folder that train_classifier made.")
    by_name: dict[str, list[ArmPart]] = {}
    for path in map(Path, paths):
        part = ArmPart(path, read_arm(path))
        by_name.setdefault(str(part.document["arm"]), []).append(part)
    arms = [ArmInput(tuple(sorted(parts, key=_order))) for parts in by_name.values()]
    folds = arms[0].folds
    for arm in arms:
        _check_parts(arm)
        if arm.folds != folds:
            raise SettingsError(
                f"The arm '{arm.name}' was trained on {_listed(arm.folds)}, and '{arms[0].name}' on {_listed(folds)}: "
                "give all arms of all folds, or those of a single split alone."
            )
    return arms


def tested_patches(real: PatchSet, folds: Iterable[int]) -> TestPatches:
    """Return the patches that folds test, or the test split for the fold -1.

    Raises:
        PatchSetError: a fold does not exist or tests nothing.
    """
    folds = list(folds)
    if folds == [-1]:
        test = real.split("test")
        return TestPatches(test, {-1: np.arange(len(test))})
    tested = {fold: (real.in_fold(fold).index["split"] == "test").to_numpy() for fold in folds}
    patches = real.where(np.flatnonzero(np.any(list(tested.values()), axis=0)))
    return TestPatches(
        patches, {fold: np.flatnonzero(patches.index[fold_column(fold)].to_numpy() == "test") for fold in folds}
    )


def _order(part: ArmPart) -> tuple[int, int]:
    return (-1 if part.generator_seed is None else part.generator_seed, part.fold)


def _check_parts(arm: ArmInput) -> None:
    """Check that an arm has each fold of each generator once, with the same seeds.

    Raises:
        SettingsError: it does not.
    """
    places = [(part.generator_seed, part.fold) for part in arm.parts]
    for place in places:
        if places.count(place) > 1:
            which = "" if place == (None, -1) else f" with the same fold and generator ({place_text(*place)})"
            raise SettingsError(
                f"Two arms are called '{arm.name}'{which}: leave one of them out, or train it again under another name "
                "of 'arm'."
            )
    generators = list(dict.fromkeys(part.generator_seed for part in arm.parts))
    missing = [(seed, fold) for seed in generators for fold in arm.folds if (seed, fold) not in places]
    if missing:
        raise SettingsError(
            f"The arm '{arm.name}' lacks {place_text(*missing[0])}: every generator needs all folds, so that it is "
            "tested on every patient once."
        )
    for part in arm.parts:
        same_run = [other for other in arm.parts if other.generator_seed == part.generator_seed]
        if any(other.seeds != part.seeds for other in same_run):
            raise SettingsError(
                f"The folds of the arm '{arm.name}' have different seeds ({part.path}): train all folds with the same "
                "seeds, because a seed's classifiers of all folds are one run."
            )


def place_text(generator_seed: int | None, fold: int) -> str:
    """Return a fold and the seed of a generator in words; '' for a single split without a generator."""
    parts = [f"fold {fold}"] if fold >= 0 else []
    return join_words([*parts, *([f"generator seed {generator_seed}"] if generator_seed is not None else [])])


def _listed(folds: Sequence[int]) -> str:
    return "a single split" if folds == [-1] else f"{counted(len(folds), 'folds')} ({', '.join(map(str, folds))})"
