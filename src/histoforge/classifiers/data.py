"""The patches that an arm is trained on and validated with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.errors import PatchSetError
from histoforge.core.seeds import numpy_rng
from histoforge.patches import PatchSet
from histoforge.patches.device import DevicePatches
from histoforge.patches.matching import check_same_fold, check_same_format

Use = Literal["both", "real", "synthetic", "control"]
"""The kinds of patches that an arm is trained on."""


@dataclass
class TrainingData:
    """The data of an arm, on the device.

    Attributes:
        train: the real training patches, the added ones of the arm (synthetic, or real ones held back for the positive
            control), or the former followed by the latter.
        val: the real validation patches.
        real: number of real training patches, even if the arm does not train on them; it sets the length of an epoch.
        class_weights: weight of each class in the loss, float32 [classes].
        val_weights: weight of each class in the validation loss, float32 [classes], the same in every arm.
    """

    train: DevicePatches
    val: DevicePatches
    real: int
    class_weights: Tensor
    val_weights: Tensor


Load = Callable[[Sequence[PatchSet], torch.device], DevicePatches]
"""A way of loading patch sets onto the device, one after the other: their pixels, or embeddings of them."""


def load_data(
    patches: PatchSet,
    synthetic: PatchSet | None,
    device: torch.device,
    use: Use = "both",
    load: Load = DevicePatches.load,
) -> TrainingData:
    """Load training and validation patches onto the device; the latter never include synthetic ones.

    With `use` 'control', `synthetic` contains real patches: those that `control_patches` returns.

    Raises:
        PatchSetError: a split is empty, `synthetic` has other classes or another patch size, or training uses only
            `synthetic` and it is not given or lacks a class.
    """
    real, val = patches.split("train"), load([patches.split("val")], device)
    weights = class_weights(real.counts)
    if synthetic is not None:
        advice = "select patches of a generator that was trained on the real one"
        check_same_format("The synthetic patch set has", synthetic, "the real one", patches, advice, PatchSetError)
        made_by = synthetic.info.made_by
        trained_on = (made_by.get("scoring") or {}).get("patches", "")
        fold = (made_by.get("config") or {}).get("fold", -1)
        check_same_fold("The generator of the synthetic patches", trained_on, fold, patches)
    if use == "synthetic":
        synthetic = _check_complete(synthetic)
        train = load([synthetic], device)
        return TrainingData(train, val, len(real), class_weights(synthetic.counts), weights)
    train = load([real] if synthetic is None else [real, synthetic], device)
    return TrainingData(train, val, len(real), weights, weights)


def control_patches(patches: PatchSet, ratio: float) -> PatchSet:
    """Return the held-back real patches that take the place of synthetic ones in the positive control.

    Of each class there are `ratio` times as many as real training patches, like kept synthetic ones (`ratio` of
    `select_samples`), or all that are held back if these are fewer. A larger ratio contains the patches of a smaller
    one. The choice does not depend on the seed of a classifier: like synthetic patches, they are one set for all seeds.

    Raises:
        PatchSetError: no patches are held back, or the train split is empty.
    """
    control, wanted = patches.split("control"), np.round(ratio * patches.split("train").counts).astype(np.int64)
    rows = [
        numpy_rng(0, "control", label).permutation(np.flatnonzero(control.labels == label))[:count]
        for label, count in enumerate(wanted.tolist())
    ]
    return control.where(np.sort(np.concatenate(rows)))


def class_weights(counts: NDArray[np.int64]) -> Tensor:
    """Return weights N / (C N_c), float32 [classes], for N_c real training patches per class.

    Their mean over these patches is 1.
    """
    return torch.tensor(counts.sum() / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)


def count_patches(patches: PatchSet, added: PatchSet | None, use: Use) -> dict[str, dict[str, int]]:
    """Count patches by subset (train, val, and 'synthetic' or 'control' for those added) and class name."""
    subsets = {"train": patches.split("train"), "val": patches.split("val")}
    if added is not None:
        subsets["control" if use == "control" else "synthetic"] = added
    return {name: dict(zip(patches.classes, subset.counts.tolist(), strict=True)) for name, subset in subsets.items()}


def _check_complete(synthetic: PatchSet | None) -> PatchSet:
    """Return the synthetic patches after checking that they exist and have every class."""
    if synthetic is None:
        raise PatchSetError("use=synthetic needs synthetic patches, and none are given: name a patch set of them.")
    for name, count in zip(synthetic.classes, synthetic.counts.tolist(), strict=True):
        if not count:
            raise PatchSetError(
                f"use=synthetic needs synthetic patches of every class, and there are none of the class '{name}': draw "
                "some, or set use=both."
            )
    return synthetic
