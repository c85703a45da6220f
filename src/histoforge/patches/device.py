"""Patches on the device as uint8, and the batches made from them there."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from histoforge.core.errors import SettingsError
from histoforge.core.memory import memory_limit
from histoforge.core.timings import spent
from histoforge.patches.patchset import PatchSet
from histoforge.patches.shuffling import WINDOW_BYTES, shuffled_windows
from histoforge.patches.stream import PatchSequence, PatchStream

PATCH_MEMORY = "HISTOFORGE_PATCH_MEMORY"
"""Environment variable: memory of the host for the patches of a training, GiB; half of the memory if unset."""


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
    """Patches as uint8, and the order in which training takes batches of them.

    They are on `device` if they fit (at most half of a GPU's free memory), otherwise in the host's memory, from which
    batches are copied, and otherwise (see `host_memory`) in their files, from which they are read as they are needed.
    The order of training and its results are the same in all cases.

    Attributes:
        images: uint8 [N, 3, H, W], channels_last.
        labels: int64 [N].
        device: the device of the batches.
        chunks: the chunk of each row, int64 [N], in which training shuffles (see `shuffled_windows`); None shuffles all
            rows at once.
    """

    def __init__(
        self, images: Tensor | PatchStream, labels: Tensor, device: torch.device, chunks: Tensor | None = None
    ) -> None:
        self.images, self.labels, self.device, self.chunks = images, labels, device, chunks

    @classmethod
    def load(cls, patches: PatchSet | Sequence[PatchSet], device: torch.device | str) -> "DevicePatches":
        """Load the patches of a set, or of several sets of one size, one after the other."""
        device, sequence = torch.device(device), PatchSequence([patches] if isinstance(patches, PatchSet) else patches)
        size = int(np.prod(sequence.shape))
        labels, chunks = torch.from_numpy(sequence.labels), torch.from_numpy(sequence.chunks)
        storage = device if fits(size, device) else torch.device("cpu")
        if storage.type == "cpu" and size > host_memory():
            return cls(PatchStream(sequence), labels, device, chunks)
        images = sequence.read(np.arange(len(labels)), storage).permute(0, 3, 1, 2)
        return cls(images, labels.to(storage), device, chunks)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor) -> Batch:
        """Return the patches at `rows`, int64 [B], as floats in [-1, 1] on the device."""
        with spent("transfer", patches=len(rows)) as work:
            stored_rows = rows.to(self.images.device)
            images = self.images[stored_rows].to(self.device, non_blocking=True)
            work.bytes = images.nbytes
            return Batch(to_unit(images), self.labels[stored_rows].to(self.device), rows)

    def order(self, rng: torch.Generator, first: int = 0) -> Tensor:
        """Return the rows of a pass in their order from position `first` on, int64 [N - first].

        It is called once for each pass, in turn, so that patches in files can be read ahead.
        """
        if self.chunks is None:
            return torch.randperm(len(self), generator=rng)[first:]
        windows = shuffled_windows(self.chunks, WINDOW_BYTES // int(np.prod(self.images.shape[1:])), rng)
        if isinstance(self.images, PatchStream):
            ends = np.cumsum([len(window) for window in windows])
            self.images.read_ahead(windows[int(np.searchsorted(ends, first, side="right")) :])
        return torch.cat(windows)[first:]


def to_unit(images: Tensor) -> Tensor:
    """Convert uint8 [B, 3, H, W] to float32 in [-1, 1], channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Convert floats in [-1, 1], [B, 3, H, W], to uint8 [B, H, W, 3]; the inverse of `to_unit`."""
    return images.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def host_memory() -> int:
    """Return the size in bytes above which patches are not loaded into the host's memory.

    It is half of the memory of the machine or container, or HISTOFORGE_PATCH_MEMORY (GiB), divided among the processes
    that train together there.

    Raises:
        SettingsError: HISTOFORGE_PATCH_MEMORY is not a number, or negative.
    """
    given = os.environ.get(PATCH_MEMORY, "")
    try:
        size = int(float(given) * (1 << 30)) if given else memory_limit() // 2
    except (OverflowError, ValueError):
        size = -1
    if size < 0:
        raise SettingsError(f"{PATCH_MEMORY} is not a number of GiB: correct it, or leave it unset.")
    return size // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def fits(size: int, device: torch.device) -> bool:
    """Test whether so many bytes fit on the device: at most half of a GPU's free memory, and any number on the host."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size <= free // 2
