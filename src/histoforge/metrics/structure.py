"""The structure of patches, without their colour, brightness and contrast."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from histoforge.patches.blocks import Images, read_blocks, rows_of
from histoforge.patches.images import Pixels

SIDE = 64
"""Larger patches are shrunk until their longer side has this many pixels."""
CELLS = 12
READ_ROWS = 512
MIN_DETAIL = 2.0
"""Patches whose filtered luminance has a lower standard deviation, in grey levels, are left out, such as glass."""
MIN_FREEDOM = 12.0
"""Patches with fewer independent values are left out: two smooth gradients correlate by chance."""


@dataclass(frozen=True)
class Structure:
    """Structure of the luminance of patches.

    The fine structure is computed from the pixels when it is asked for, because it takes as much memory as they do.

    Attributes:
        patches: the patches.
        coarse: mean of larger structures in cells, float32 [N, CELLS, CELLS].
        has_detail: whether the patch shows enough detail to be compared, bool [N].
    """

    patches: Images
    coarse: Tensor
    has_detail: Tensor

    @classmethod
    def of(cls, patches: Images) -> "Structure":
        """Compute the structure of patches, uint8 [N, H, W, 3]."""
        _, coarse, has_detail = zip(*(_filter(images) for _, images in read_blocks(patches, READ_ROWS)), strict=True)
        return cls(patches, torch.cat(coarse), torch.cat(has_detail))

    def __len__(self) -> int:
        return len(self.coarse)

    def rows(self, rows: Tensor) -> "Structure":
        """Return the structure of some patches, int64 [n]."""
        return Structure(rows_of(self.patches, rows.numpy()), self.coarse[rows], self.has_detail[rows])

    def fine(self) -> Tensor:
        """Compute the luminance after a band-pass filter, with a standard deviation of 1, float16 [N, h, w]."""
        return torch.cat([_filter(images)[0] for _, images in read_blocks(self.patches, READ_ROWS)])


def symmetries(images: Tensor) -> Tensor:
    """Return the flips and rotations of images [N, h, w]: eight of square ones, [8, N, h, w], four of others."""
    turns = range(4) if images.shape[1] == images.shape[2] else (0, 2)
    rotated = [torch.rot90(images, turn, (1, 2)) for turn in turns]
    return torch.stack([*rotated, *(view.flip(2) for view in rotated)])


def turned(image: NDArray[np.uint8], view: int) -> NDArray[np.uint8]:
    """Return a flip or rotation of an image [H, W, 3], a row of `symmetries`."""
    return symmetries(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1))[view].permute(1, 2, 0).numpy()


def _filter(images: Pixels) -> tuple[Tensor, Tensor, Tensor]:
    """Return the fine structure of images, uint8 [n, H, W, 3], the coarse one, and whether they show detail."""
    grey = torch.from_numpy(images.astype(np.float32)).mean(-1)[:, None]  # [n, 1, H, W]
    height, width = grey.shape[2:]
    if max(height, width) > SIDE:
        scale = SIDE / max(height, width)
        grey = F.interpolate(grey, size=(round(height * scale), round(width * scale)), mode="area")
    smooth = _blur(grey, 0.7)
    fine = (smooth - _blur(grey, 4.0))[:, 0]
    detail = fine.std((1, 2))
    power = torch.fft.fft2(fine).abs().square().flatten(1)
    freedom = power.sum(1).square() / power.square().sum(1).clamp(min=1e-6)
    coarse = F.adaptive_avg_pool2d(smooth - _blur(grey, 8.0), CELLS)[:, 0]
    has_detail = (detail >= MIN_DETAIL) & (freedom >= MIN_FREEDOM)
    return (fine / detail.clamp(min=1e-3)[:, None, None]).half(), coarse, has_detail


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Blur images [n, 1, h, w] with a Gaussian, continued by reflection."""
    height, width = images.shape[2:]
    radius = min(round(3 * sigma), min(height, width) - 1)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-x.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    return _blurring(height, kernel).T @ images @ _blurring(width, kernel)


def _blurring(side: int, kernel: Tensor) -> Tensor:
    """Return the matrix [side, side] by which a row is multiplied to blur it."""
    radius = len(kernel) // 2
    return F.conv1d(F.pad(torch.eye(side)[:, None], (radius, radius), mode="reflect"), kernel[None, None])[:, 0]
