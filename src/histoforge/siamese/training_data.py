"""The data of the guide's fine-tuning: patch sets, checked, and loaded as sources of pairs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from histoforge.core.errors import PatchSetError
from histoforge.core.seeds import numpy_rng
from histoforge.patches import PatchSet
from histoforge.siamese.network import MIN_SIZE_PX
from histoforge.siamese.pairs import Augmentation, PairSource, check_patients

PATCHES_ONLY = "set stage1=false to train on patches only"


@dataclass(frozen=True)
class TrainingData:
    """The patches for training and evaluation.

    Attributes:
        overviews: training overviews, or None if stage 1 is left out.
        train, val: training and validation patches.
    """

    overviews: PatchSet | None
    train: PatchSet
    val: PatchSet

    @property
    def shared_patients(self) -> tuple[int, int]:
        """The number of validation patients that also have training patches, and of all validation patients."""
        val = set(self.val.index["patient"])
        return len(val & set(self.train.index["patient"])), len(val)


@dataclass(frozen=True)
class PairSources:
    """The same data on a device, as sources of pairs."""

    overviews: PairSource | None
    train: PairSource
    val: PairSource

    @classmethod
    def load(cls, data: TrainingData, device: torch.device, augmentation: Augmentation) -> "PairSources":
        """Load the data onto the device."""
        overviews = None
        if data.overviews is not None:
            overviews = PairSource(data.overviews, device, augmentation, same_slide=False, augment_first=True)
        return cls(overviews, PairSource(data.train, device, augmentation), PairSource(data.val, device, augmentation))


def open_training_data(
    patches: Path, overviews: Path | None, *, stage1: bool, max_patches: int, seed: int
) -> TrainingData:
    """Open the patches and the overviews, and check that pairs can be made from them.

    Args:
        patches: a patch set with the splits train and val.
        overviews: a patch set of overviews; not read if `stage1` is False.
        stage1: whether overviews are trained on.
        max_patches: maximum number of training patches, drawn by seed; 0 is all.
        seed: seed of that sample.

    Raises:
        PatchSetError: the patches are too small, a split has patches of one patient only, or there are no overviews.
    """
    whole = PatchSet.open(patches)
    if min(whole.patch_size) < MIN_SIZE_PX:
        raise PatchSetError(
            f"{patches} has patches of {min(whole.patch_size)} px, and VGG-16 halves them four times: preprocess with "
            f"a patch_size of at least {MIN_SIZE_PX}."
        )
    train, val = whole.split("train"), whole.split("val")
    check_patients(train, "The 'train' split", "give the patch set more patients")
    if 0 < max_patches < len(train):
        rows = numpy_rng(seed, "snn patches").choice(len(train), max_patches, replace=False)
        rows.sort()
        train = train.where(rows)
        check_patients(train, "The part of the 'train' split that max_patches keeps", "raise max_patches")
    return TrainingData(_open_overviews(overviews) if stage1 else None, train, val)


def _open_overviews(overviews: Path | None) -> PatchSet:
    if overviews is None:
        raise PatchSetError(
            f"finetune_snn trains its first stage on overviews, and none were given: name them, or {PATCHES_ONLY}."
        )
    whole = PatchSet.open(overviews)
    if not (whole.index["split"] == "train").any():
        raise PatchSetError(f"There are no training overviews in {overviews} for the first stage: {PATCHES_ONLY}.")
    train = whole.split("train")
    check_patients(train, f"The 'train' split of {overviews}", PATCHES_ONLY)
    return train
