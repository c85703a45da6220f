"""Open the arms and patch sets of an evaluation, and check them against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoforge.core.errors import PatchSetError
from histoforge.evaluation.arm_inputs import ArmInput, ArmPart, TestPatches, open_parts
from histoforge.patches import PatchSet
from histoforge.patches.matching import PatchFormat, check_same_format
from histoforge.patches.patchset import SPLITS

OF_AN_ARM = ("augmentation", "use", "fold")
"""Settings in which arms differ by definition: they are what a study compares."""


@dataclass(frozen=True)
class TestUnits:
    """The units that a bootstrap over the test split draws.

    Attributes:
        name: 'patients', or 'slides' or 'images' if the source names no patients.
        column: column of the index that identifies them.
    """

    name: str
    column: str

    def of(self, patches: PatchSet) -> NDArray[Any]:
        """Return the unit of each patch."""
        if not self.column:
            return np.arange(len(patches)).astype(str)
        return patches.index[self.column].astype(str).to_numpy()


def open_arms(paths: Sequence[Path], real: PatchSet, reference: str) -> tuple[list[ArmInput], str, list[str]]:
    """Return the arms, the reference first and positive controls last, the reference's name, and warnings about them.

    Raises:
        SettingsError: if there are no arms, two arms of one name have the same fold and generator, or an arm lacks a
            fold.
        ModelError: if an arm is damaged, or was trained on other classes or another patch size.
    """
    arms = open_parts(paths)
    for arm in arms:
        for part in arm.parts:
            _check_arm(part, real)
    names = [arm.name for arm in arms]
    folds, warnings = arms[0].folds, []
    if folds[0] >= 0 and len(folds) < real.folds:
        warnings.append(f"Only the folds {', '.join(map(str, folds))} of {real.folds} were evaluated.")
    if reference not in names:
        same_kind = [arm.name for arm in arms if arm.factors.get("kind") == reference]
        replacement = (same_kind or names)[0]
        if len(arms) > 1 and not same_kind:
            warnings.append(f"There is no arm '{reference}': all arms are compared with '{replacement}' instead.")
        reference = replacement
    return sorted(arms, key=lambda arm: (arm.name != reference, arm.is_control)), reference, warnings


def test_units(real: PatchSet) -> TestUnits:
    """Return the independent units of the test split."""
    summary = real.info.made_by.get("summary") or {}
    index = real.index
    if summary.get("patients_known", True) and (index["patient"].astype(str) != "").all():
        return TestUnits("patients", "patient")
    if summary.get("kind") == "slides" and (index["slide"].astype(str) != "").all():
        return TestUnits("slides", "slide")
    for column in ("patient", "slide"):
        if (index[column].astype(str) != "").all():
            return TestUnits("images", column)
    return TestUnits("images", "")


def count_units(real: PatchSet, units: TestUnits) -> dict[str, dict[str, int]]:
    """Count patients (slides, images) by split and class name; '' stands for all classes together."""
    return {split: units_by_class(real.split(split), units) for split in SPLITS if split in real.info.counts}


def units_by_class(patches: PatchSet, units: TestUnits) -> dict[str, int]:
    """Count patients (slides, images) by class name; '' stands for all classes together."""
    names, labels = units.of(patches), patches.labels
    by_class = {name: len(set(names[labels == label])) for label, name in enumerate(patches.classes)}
    return {"": len(set(names)), **by_class}


def count_tested(
    real: PatchSet, test: TestPatches, units: TestUnits
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """Count patches, and patients (slides, images), by split and class name.

    With folds, the test is that of all of them, and the other splits are those of the first fold.

    Args:
        real: the patch set, opened for the first fold that is tested.
        test: the tested patches.
    """
    patches = {split: dict(real.info.counts[split]) for split in SPLITS if split in real.info.counts}
    names, labels = units.of(test.patches), test.patches.labels
    by_class = {name: len(set(names[labels == label])) for label, name in enumerate(real.classes)}
    patches["test"] = dict(zip(real.classes, test.patches.counts.tolist(), strict=True))
    return patches, {**count_units(real, units), "test": {"": len(set(names)), **by_class}}


def training_patches(real: PatchSet) -> PatchSet:
    """Return the training patches, none if the patch set is an external test set (`split_ratios=0:0:1`)."""
    return real.where(np.flatnonzero(real.index["split"].to_numpy() == "train"))


def open_synthetic(path: Path, real: PatchSet, name: str) -> PatchSet:
    """Open a synthetic patch set that matches the real one; messages call it `name`.

    Raises:
        PatchSetError: if it is damaged, or has other classes or another patch size.
    """
    synthetic = PatchSet.open(path)
    advice = "give those that belong together"
    check_same_format(f"The {name} {path} has", synthetic, "the real patch set", real, advice, PatchSetError)
    return synthetic


def data_warnings(real: PatchSet, arms: Sequence[ArmInput], units: TestUnits) -> list[str]:
    """Return warnings about data and arms that a reader needs before trusting a result."""
    summary = real.info.made_by.get("summary") or {}
    warnings = [str(text).rstrip(".") + "." for text in summary.get("warnings", [])]
    failed = summary.get("failed", [])
    if failed:
        failures = ", ".join(f"{item['name']} ({item['reason'].rstrip('.')})" for item in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        warnings.append(f"{len(failed)} of the source's slides or images were skipped: {failures}{more}.")
    return [*warnings, *_split_warnings(real, np.any(_tests(real, arms), axis=0), units), *_arm_warnings(real, arms)]


def _tests(real: PatchSet, arms: Sequence[ArmInput]) -> list[NDArray[np.bool_]]:
    """Return a mask of the patches that each fold tests, bool [N] each; of the test split if there are no folds."""
    return [(real.in_fold(fold).index["split"] == "test").to_numpy() for fold in arms[0].folds]


def data_caveats(real: PatchSet, arms: Sequence[ArmInput], units: TestUnits) -> list[str]:
    """Return what limits the answer to patients like those in training, one sentence each."""
    names, tests = units.of(real), _tests(real, arms)
    both_sides = (set(names[test]) & set(names[~test]) for test in tests if units.column)
    shared: set[Any] = set().union(*both_sides)
    caveats = []
    if shared:
        tested = len(set(names[np.any(tests, axis=0)]))
        caveats.append(
            f"{len(shared)} of {tested} test {units.name} also have patches in other splits, so the "
            f"results of all arms are too good: they hold for new patches of these {units.name}, not for new patients."
        )
    if units.name != "patients":
        caveats.append(
            f"The source names no patients: intervals are computed over {units.name} and are too narrow, and test "
            "patches may come from patients in training."
        )
    return caveats


def _split_warnings(real: PatchSet, test: NDArray[np.bool_], units: TestUnits) -> list[str]:
    index, warnings = real.index, []
    names = units.of(real)
    for label, name in enumerate(real.classes):
        in_class = test & (index["label"] == label).to_numpy()
        count = len(set(names[in_class]))
        if not in_class.any():
            warnings.append(f"Class '{name}' has no patch in the test split: scores that need it are undefined.")
        elif count == 1 and units.name != "images":
            warnings.append(
                f"All test patches of class '{name}' come from one of the {units.name}, so scores of this class say "
                "nothing about others."
            )
    return warnings


def _arm_warnings(real: PatchSet, arms: Sequence[ArmInput]) -> list[str]:
    warnings = []
    other = [arm.name for arm in arms if arm.document.get("digests", {}).get("patches", real.digest) != real.digest]
    if other:
        warnings.append(
            f"Trained on another patch set than the one tested on here: {', '.join(other)}; the test split may contain "
            "their training patients."
        )
    warnings += [
        f"{arm.name}: {text}" for arm in arms for part in arm.parts for text in part.document.get("warnings", [])
    ]
    if len({tuple(sorted(set(arm.seeds))) for arm in arms}) > 1:
        warnings.append("The arms have different seeds: paired tests use those that both have.")
    arms = [arm for arm in arms if not {"backbone", "network"} & arm.factors.keys()]  # they differ by definition
    settings = [
        {k: v for k, v in arm.document.get("config", {}).items() if k not in OF_AN_ARM}
        | {"method": arm.document.get("method")}
        for arm in arms
    ]
    different = [arm.name for arm, config in zip(arms, settings, strict=True) if config != settings[0]]
    if different:
        warnings.append(
            f"Trained with other settings than {arms[0].name}: {', '.join(different)}; these may cause a difference."
        )
    return warnings


def _check_arm(arm: ArmPart, real: PatchSet) -> None:
    patches = PatchFormat(arm.document.get("classes", real.classes), arm.document.get("patch_size", real.patch_size))
    subject = f"The arm {arm.path} was trained on"
    check_same_format(subject, patches, "the patch set", real, "train it on that patch set")
