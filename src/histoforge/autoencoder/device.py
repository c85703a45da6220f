"""Latents on the device, and the batches made from them there: training that never runs the encoder."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.autoencoder.latents import LatentSet
from histoforge.patches.device import fits
from histoforge.training.processes import uniform


@dataclass
class LatentBatch:
    """A batch of latents.

    Attributes:
        views: latents of each image and its flips, float16 [B, flips, C, h, w].
        labels: int64 [B].
        levels: 0 for patches and 1 for overviews, int64 [B].
    """

    views: Tensor
    labels: Tensor
    levels: Tensor

    def one_view(self, rng: torch.Generator) -> Tensor:
        """Return the latents of each image or of one of its flips, drawn at random, float32 [B, C, h, w]."""
        chosen = (uniform(len(self.views), rng=rng) * self.views.shape[1]).long()
        return self.views[torch.arange(len(self.views), device=chosen.device), chosen].float()


class DeviceLatents:
    """Rows of a latent set, as training data of the engine.

    They are on `device` if they fit (at most half of a GPU's free memory), and otherwise read from the disk.

    Attributes:
        labels, levels: of each row, int64 [N] on the CPU.
    """

    def __init__(self, latents: LatentSet, rows: NDArray[np.int64], device: torch.device) -> None:
        self.labels, self.levels = torch.from_numpy(latents.labels[rows]), torch.from_numpy(latents.levels[rows])
        self.device, self._rows, self._stored = device, rows, latents.latents
        self._on_device: Tensor | None = None
        if device.type == "cuda" and fits(latents.latents.nbytes, device):
            self._on_device = torch.from_numpy(np.array(latents.latents)).to(device)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, rows: Tensor) -> LatentBatch:
        """Return the latents at `rows`, int64 [B], on the device."""
        stored = self._rows[rows.numpy()]
        if self._on_device is not None:
            views = self._on_device[torch.from_numpy(stored).to(self.device)]
        else:
            views = torch.from_numpy(self._stored[stored]).to(self.device)
        return LatentBatch(views, self.labels[rows].to(self.device), self.levels[rows].to(self.device))

    def order(self, rng: torch.Generator, first: int = 0) -> Tensor:
        """Return the rows of a pass from position `first` on, int64 [N - first]."""
        return torch.randperm(len(self), generator=rng)[first:]
