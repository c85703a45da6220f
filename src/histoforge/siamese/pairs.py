"""Pairs of patches for the siamese network, drawn on the device: similar ones and two levels of dissimilar ones."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from histoforge.core.errors import PatchSetError
from histoforge.patches.device import DevicePatches
from histoforge.patches.patchset import PatchSet

SIMILAR, SAME_SLIDE, OTHER_PATIENT = 0, 1, 2
"""The levels: a patch and its augmentation, two patches of one slide, and patches from slides of two patients."""

PATTERN = (SIMILAR, SAME_SLIDE, SIMILAR, OTHER_PATIENT)


@dataclass(frozen=True)
class Augmentation:
    """Changes that turn an image into a similar one: brightness, contrast and noise (section IV.B.1).

    The paper gives no strengths, so these are settings.

    Attributes:
        brightness, contrast: factors lie in [1 - x, 1 + x].
        noise: standard deviation of normal noise, in units of the full range of values.
    """

    brightness: float
    contrast: float
    noise: float


@dataclass
class Pairs:
    """Pairs ready for the network.

    Attributes:
        first, second: float32 [B, 3, H, W] in [-1, 1], channels_last.
        levels: int64 [B]; A0-1: 0 is similar, and 1 and 2 are both labelled dissimilar.
    """

    first: Tensor
    second: Tensor
    levels: Tensor

    @property
    def is_dissimilar(self) -> Tensor:
        """The label y of the contrastive loss, float32 [B]: 0 for similar pairs, 1 for dissimilar ones (A0-1)."""
        return (self.levels != SIMILAR).float()


class Partners:
    """Draw random partners of a patch: patches of the same slide, or of another patient.

    Level 2 is "patches of different WSIs" (section IV.B.1). Here they also come from different patients, so that serial
    sections of one tissue are not called dissimilar. A slide is identified by its patient and its name.
    """

    def __init__(self, index: pd.DataFrame, device: torch.device) -> None:
        """Take the columns `patient` and `slide` of each patch."""
        patient = index.groupby("patient", sort=True).ngroup().to_numpy()
        slide = index.groupby(["patient", "slide"], sort=True).ngroup().to_numpy()
        order = np.lexsort((np.arange(len(index)), slide))  # number slides patient by patient
        position = np.empty_like(order)
        position[order] = np.arange(len(order))

        def spans(groups: np.ndarray) -> tuple[Tensor, Tensor]:
            counts = np.bincount(groups)
            starts = np.cumsum(counts) - counts
            return torch.tensor(starts[groups], device=device), torch.tensor(counts[groups], device=device)

        self.patients, self.slides = int(patient.max()) + 1, int(slide.max()) + 1
        self._order, self._position = torch.tensor(order, device=device), torch.tensor(position, device=device)
        self._slide_start, self._slide_count = spans(slide)
        self._patient_start, self._patient_count = spans(patient)

    def levels(self, rows: Tensor, same_slide: bool = True) -> Tensor:
        """Draw a level for each of `rows`, int64 [B]: one half similar, a quarter each of the dissimilar levels.

        A patch that is alone on its slide is paired at level 2 instead, as is every patch if `same_slide` is False. If
        there is only one patient, patches are paired at level 1.
        """
        pattern = torch.tensor(PATTERN, device=rows.device)
        levels = pattern[torch.arange(len(rows), device=rows.device) % len(PATTERN)]
        alone = (self._slide_count[rows] < 2) | (not same_slide)
        levels = torch.where((levels == SAME_SLIDE) & alone, OTHER_PATIENT, levels)
        if self.patients < 2:
            impossible = levels == OTHER_PATIENT
            levels = torch.where(impossible, torch.where(alone, SIMILAR, SAME_SLIDE), levels)
        return levels

    def draw(self, rows: Tensor, levels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw a partner at the given level for each of `rows`, uniformly among all candidates, int64 [B]."""
        draws = torch.rand(len(rows), generator=rng, device=rows.device, dtype=torch.float64)
        position = self._position[rows]
        start, count = self._slide_start[rows], self._slide_count[rows]
        in_slide = start + (position - start + 1 + _below(draws, count - 1)) % count
        start, count = self._patient_start[rows], self._patient_count[rows]
        elsewhere = (start + count + _below(draws, len(self._order) - count)) % len(self._order)
        partners = torch.where(levels == SAME_SLIDE, in_slide, elsewhere)
        return torch.where(levels == SIMILAR, rows, self._order[partners])


class PairSource:
    """Patches on the device, from which pairs are drawn.

    Attributes:
        patches: the patches.
        partners: draws the partners.
        patient: the patient of each patch, [N].
    """

    def __init__(
        self,
        patches: PatchSet,
        device: torch.device,
        augmentation: Augmentation,
        *,
        same_slide: bool = True,
        augment_first: bool = False,
    ) -> None:
        """Load the patches.

        Args:
            patches: one split.
            device: where pairs are made.
            augmentation: applied to the second image of every pair, so that its traces do not identify similar pairs.
            same_slide: whether there are level-1 pairs; False for overviews, since a slide has only one (A0-6).
            augment_first: whether the first image is also augmented, as for overviews (A0-6).
        """
        self.patches = DevicePatches.load(patches, device)
        self.partners = Partners(patches.index, device)
        self.patient = patches.index["patient"].to_numpy()
        self.size = patches.patch_size
        self._augmentation, self._same_slide, self._augment_first = augmentation, same_slide, augment_first

    def __len__(self) -> int:
        return len(self.patches)

    def pairs(self, rows: Tensor, rng: torch.Generator) -> Pairs:
        """Make a pair for each of `rows`, int64 [B] on any device, drawing from `rng` (on the patches' device)."""
        rows = rows.to(self.patches.device)
        levels = self.partners.levels(rows, self._same_slide)
        first = self.patches.batch(rows).images
        second = self.patches.batch(self.partners.draw(rows, levels, rng)).images
        if self._augment_first:
            first = augment(first, self._augmentation, rng)
        return Pairs(first, augment(second, self._augmentation, rng), levels)


def augment(images: Tensor, strengths: Augmentation, rng: torch.Generator) -> Tensor:
    """Change brightness, then contrast about each image's mean, then add normal noise; clip once at the end.

    Args:
        images: float [B, 3, H, W] in [-1, 1].
        strengths: strengths of the three changes.
        rng: on the images' device.
    """
    draws = torch.rand(2, len(images), 1, 1, 1, generator=rng, device=images.device) * 2 - 1
    brightness, contrast = 1 + draws[0] * strengths.brightness, 1 + draws[1] * strengths.contrast
    x = (images + 1) * (0.5 * brightness)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    noise = torch.randn(images.shape, generator=rng, device=images.device)
    x = mean + (x - mean) * contrast + noise * strengths.noise
    return (x.clamp(0, 1) * 2 - 1).contiguous(memory_format=torch.channels_last)


def check_patients(patches: PatchSet, what: str, remedy: str) -> None:
    """Check that there are patches of at least two patients.

    Args:
        patches: one split.
        what: its name in the message.
        remedy: what the user can do.

    Raises:
        PatchSetError: all patches are of one patient.
    """
    patients = patches.index["patient"].unique()
    if len(patients) < 2:
        raise PatchSetError(
            f"{what} has {len(patches)} images of one patient ('{patients[0]}'), so there are no dissimilar slides to "
            f"learn from: {remedy}."
        )


def _below(draws: Tensor, bounds: Tensor) -> Tensor:
    """Turn draws in [0, 1) into whole numbers in [0, bound), at least 0."""
    return (draws * bounds.clamp_min(1)).long()
