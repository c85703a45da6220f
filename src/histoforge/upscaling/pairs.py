"""Pairs of an image and its shrunken version, made on the device."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from histoforge.patches.device import DevicePatches, to_unit
from histoforge.training.flips import flipped
from histoforge.upscaling.degradation import degrade

Shrink = Callable[[Tensor, int, torch.Generator], Tensor]
"""Shrinks images, float32 [B, 3, H, W] in [-1, 1], by a factor, with a source of random choices."""


class CropPairs:
    """Random square crops of images and what remains of them when shrunk, as training data of the engine.

    Args:
        images: the training images.
        crop: side of a crop, px; a multiple of `scale`, at most the images' side.
        scale: factor by which crops are shrunk.
        degradation: a key of `DEGRADATIONS`.
        flips: whether crops are flipped at random.
        rng: source of all random choices, on the images' device.
    """

    def __init__(
        self, images: DevicePatches, crop: int, scale: int, degradation: str, flips: bool, rng: torch.Generator
    ) -> None:
        self.images, self.crop, self.scale, self.flips, self.rng = images, crop, scale, flips, rng
        self._shrink = DEGRADATIONS[degradation]

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return shrunken crops, float32 [B, 3, crop / scale, crop / scale] in [-1, 1], and the crops themselves."""
        stored = self.images.images[rows.to(self.images.images.device)]
        large = to_unit(self._cropped(stored).to(self.images.device))
        if self.flips:
            large = flipped(large, self.rng)
        return self._shrink(large, self.scale, self.rng), large

    def order(self, rng: torch.Generator, first: int = 0) -> Tensor:
        """Return the images of a pass from position `first` on, int64 [N - first]."""
        return self.images.order(rng, first)

    def _cropped(self, images: Tensor) -> Tensor:
        space = torch.tensor(images.shape[2:]) - self.crop + 1
        drawn = torch.rand(len(images), 2, generator=self.rng, device=self.rng.device).cpu()
        corners = (drawn * space).long().tolist()
        return torch.stack(
            [image[:, y : y + self.crop, x : x + self.crop] for image, (y, x) in zip(images, corners, strict=True)]
        )


def shrink_bicubic(images: Tensor, scale: int, rng: torch.Generator | None = None) -> Tensor:
    """Shrink images, float32 [B, 3, H, W] in [-1, 1], by bicubic interpolation with a low-pass filter."""
    return F.interpolate(images, scale_factor=1 / scale, mode="bicubic", antialias=True).clamp_(-1, 1)


def enlarge_bicubic(images: Tensor, scale: int) -> Tensor:
    """Enlarge images, float32 [B, 3, H, W], by bicubic interpolation; values may exceed the range of the input."""
    return F.interpolate(images, scale_factor=scale, mode="bicubic", antialias=True)


DEGRADATIONS: dict[str, Shrink] = {"bicubic": shrink_bicubic, "bsrgan": degrade}
"""Ways to shrink images: by 'bicubic' interpolation (Rombach et al. 2022, section 4.4), or as in BSRGAN."""
