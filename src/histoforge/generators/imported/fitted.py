"""An imported generator, whose images are fitted to the size and resolution of the real patches."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.generators.imported.explained import explained_code
from histoforge.ingest.fitting import Fitting
from histoforge.patches.device import to_uint8, to_unit
from histoforge.training.model_files import ModelInfo


class Sampler(Protocol):
    """Draws images of its own classes."""

    def __call__(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw images of the classes `labels`, int64 [B] on the CPU: float32 [B, 3, H, W] in [-1, 1]."""


class FittedGenerator:
    """A generator like any other: it draws the classes of the real patches, in their size and resolution.

    Attributes:
        info: its description; `config` has `labels` (the sampler's own label of each class), `fit`, `scale`
            and `origin`.
    """

    def __init__(self, info: ModelInfo, sampler: Sampler, device: torch.device) -> None:
        self.info, self.device = info, device
        self._sampler = sampler
        self._labels = torch.tensor(info.config["labels"])
        self._fitting = Fitting(info.patch_size, info.config["scale"], info.config["fit"])

    def images(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw images in their own size: float32 [B, 3, H, W] in [-1, 1].

        Raises:
            ModelError: they cannot be drawn, or are not one finite RGB image for each label.
        """
        name = self.info.config["origin"]["name"]
        with torch.inference_mode(), explained_code(f"The generator '{name}' cannot draw", "give another one"):
            images = self._sampler(self._labels[labels], rng)
        if not _is_finite_rgb(images, len(labels)):
            raise ModelError(f"The generator '{name}' draws images that are not RGB or not finite: give another one.")
        return images

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B] on the CPU: float32 [B, 3, H, W] in [-1, 1]."""
        return self.fit(self.images(labels, rng))

    def fit(self, images: Tensor) -> Tensor:
        """Fit images to the size and resolution of the real patches.

        Raises:
            SourceError: they are too small.
        """
        if self._fitting.keeps_pixels and tuple(images.shape[2:]) == self.info.patch_size:
            return images
        patches = np.stack([self._fitting.patch(image, "drawn") for image in to_uint8(images).cpu().numpy()])
        return to_unit(torch.from_numpy(patches).permute(0, 3, 1, 2)).to(self.device)


def _is_finite_rgb(images: object, count: int) -> bool:
    """Return whether a sampler drew as many images as it was asked for: floats, finite, [count, 3, H, W]."""
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.ndim != 4:
        return False
    return tuple(images.shape[:2]) == (count, 3) and bool(torch.isfinite(images).all())
