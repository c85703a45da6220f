"""Patches on the device as uint8, and the batches made from them there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from histoforge.core.timings import spent
from histoforge.patches.patchset import PatchSet

READ_ROWS = 4096


@dataclass
class Batch:
    """A batch of patches, ready for a network.

    Attributes:
        images: float32 [B, 3, H, W] in [-1, 1], channels_last.
        labels: int64 [B].
        rows: indices of the patches in their set, int64 [B].
    """

    images: Tensor
    labels: Tensor
    rows: Tensor


class DevicePatches:
    """A patch set as one uint8 tensor.

    The tensor is on `device` if it fits (at most half of a GPU's free memory), and otherwise in the host's memory, from
    which batches are copied.

    Attributes:
        images: uint8 [N, 3, H, W], channels_last.
        labels: int64 [N].
    """

    def __init__(self, images: Tensor, labels: Tensor, device: torch.device) -> None:
        self.images, self.labels, self.device = images, labels, device

    @classmethod
    def load(cls, patches: PatchSet, device: torch.device | str) -> "DevicePatches":
        """Load all patches."""
        device = torch.device(device)
        height, width = patches.patch_size
        shape = (len(patches), height, width, 3)
        storage = device if fits(int(np.prod(shape)), device) else torch.device("cpu")
        images = torch.empty(shape, dtype=torch.uint8, device=storage)
        for start in range(0, len(patches), READ_ROWS):
            rows = slice(start, start + READ_ROWS)
            pixels = np.ascontiguousarray(patches.images(rows))
            with spent("transfer", size=pixels.nbytes):
                images[rows] = torch.from_numpy(pixels)
        return cls(images.permute(0, 3, 1, 2), torch.tensor(patches.labels).to(storage), device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor) -> Batch:
        """Return the patches at `rows`, int64 [B], as floats in [-1, 1] on the device."""
        with spent("transfer", patches=len(rows)) as work:
            stored_rows = rows.to(self.images.device)
            images = self.images[stored_rows].to(self.device, non_blocking=True)
            work.bytes = images.nbytes
            return Batch(to_unit(images), self.labels[stored_rows].to(self.device), rows)


def to_unit(images: Tensor) -> Tensor:
    """Convert uint8 [B, 3, H, W] to float32 in [-1, 1], channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Convert floats in [-1, 1], [B, 3, H, W], to uint8 [B, H, W, 3]; the inverse of `to_unit`."""
    return images.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def fits(size: int, device: torch.device) -> bool:
    """Test whether so many bytes fit on the device: at most half of a GPU's free memory, and any number on the host."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size <= free // 2
