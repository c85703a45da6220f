"""The two spatial levels that an autoencoder learns: patches, and overviews of the same patients."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from histoforge.core.errors import PatchSetError
from histoforge.core.text import dimensions
from histoforge.patches.device import DevicePatches
from histoforge.patches.matching import check_same_format
from histoforge.patches.patchset import PatchSet

SMALLEST_SIDE = 16
"""Smallest side of images, px: the structural similarity has windows of 11 px."""


def open_levels(patches: Path, overviews: Path | None, fold: int) -> list[PatchSet]:
    """Open the patch set and, if given, the overviews.

    Args:
        patches: a patch set with the splits train and val.
        overviews: a patch set of overviews of the same classes and size.
        fold: the fold whose splits to use; -1 for a single split.

    Raises:
        PatchSetError: they have other classes or another size, lack a split, or do not agree on the split of a patient.
    """
    first = PatchSet.open(patches, fold)
    if overviews is None:
        return [first]
    second = PatchSet.open(overviews, fold)
    advice = "make both in one run of preprocess, with overview_size=0"
    check_same_format("The overviews have", second, "the patch set", first, advice, PatchSetError)
    held_out = set(first.index["patient"][first.index["split"] != "train"])
    shared = held_out.intersection(second.index["patient"][second.index["split"] == "train"])
    if shared:
        raise PatchSetError(
            f"The patient '{min(map(str, shared))}' has training overviews, but patches in another split: make both "
            "in one run of preprocess, which splits them alike."
        )
    return [first, second]


def check_size(patch_size: tuple[int, int], factor: int) -> None:
    """Check that images of a size, (height, width) in px, have whole numbers of latents.

    Raises:
        PatchSetError: they have not, or are smaller than 16 px.
    """
    if min(patch_size) < SMALLEST_SIDE:
        raise PatchSetError(
            f"The images have {dimensions(patch_size)} px, too few for an autoencoder: preprocess to at least "
            f"{SMALLEST_SIDE} px."
        )
    if any(side % factor for side in patch_size):
        raise PatchSetError(
            f"The images have {dimensions(patch_size)} px, and the autoencoder makes one latent of {factor} px a side: "
            f"preprocess to multiples of {factor} px, or choose fewer levels."
        )


def training_images(levels: Sequence[PatchSet], device: torch.device) -> DevicePatches:
    """Return the training images of all levels together.

    Raises:
        PatchSetError: a level has no training images.
    """
    return DevicePatches.load([data.split("train") for data in levels], device)


def sample_images(data: PatchSet, split: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most `count` images of a split, drawn at random, uint8 [n, H, W, 3].

    Raises:
        PatchSetError: the split has no images.
    """
    images = data.split(split)
    return np.ascontiguousarray(images.images(np.sort(rng.permutation(len(images))[:count])))
