"""An imported generator, whose images are fitted to the size and resolution of the real patches."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from histoforge.core.errors import ModelError
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
            ModelError: they are not RGB, or not finite.
        """
        with torch.inference_mode():
            images = self._sampler(self._labels[labels], rng)
        if images.ndim != 4 or images.shape[1] != 3 or not bool(torch.isfinite(images).all()):
            name = self.info.config["origin"]["name"]
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
