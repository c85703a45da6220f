"""Patches that are read from their files while a network trains on them, for sets larger than the memory."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.timings import spent
from histoforge.patches.images import Pixels
from histoforge.patches.patchset import PatchSet

READ_BYTES = 128 << 20
"""Size of the pixels that are read at once."""

CPU = torch.device("cpu")
Rows = NDArray[np.int64]


class PatchSequence:
    """Several patch sets as one, whose rows follow each other.

    Attributes:
        shape: [N, H, W, 3].
        labels: int64 [N].
        chunks: a number for the file that contains each row, int64 [N].
    """

    def __init__(self, sets: Sequence[PatchSet]) -> None:
        self._sets = sets
        self._ends = np.cumsum([len(patches) for patches in sets])
        self.shape = (int(self._ends[-1]), *sets[0].patch_size, 3)
        self.labels = np.concatenate([patches.labels for patches in sets])
        chunks = [patches.chunks for patches in sets]
        firsts = np.cumsum([0, *(part.max(initial=-1) + 1 for part in chunks)])
        self.chunks = np.concatenate([part + first for part, first in zip(chunks, firsts[:-1], strict=True)])

    def read(self, rows: Rows, device: torch.device = CPU) -> Tensor:
        """Return the patches at `rows` on a device, uint8 [n, H, W, 3].

        Raises:
            PatchSetError: a file is missing or damaged.
        """
        images = torch.empty((len(rows), *self.shape[1:]), dtype=torch.uint8, device=device)
        step = max(1, READ_BYTES // int(np.prod(self.shape[1:])))
        for start in range(0, len(rows), step):
            pixels = self._pixels(rows[start : start + step])
            with spent("transfer", size=pixels.nbytes):
                images[start : start + len(pixels)] = torch.from_numpy(pixels)
        return images

    def _pixels(self, rows: Rows) -> Pixels:
        owners = np.searchsorted(self._ends, rows, side="right")
        parts = {}
        for owner in np.unique(owners).tolist():
            patches = self._sets[owner]
            parts[owner] = patches.images(rows[owners == owner] - (self._ends[owner] - len(patches)))
        if len(parts) == 1:
            return parts.popitem()[1]
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for owner, part in parts.items():
            pixels[owners == owner] = part
        return pixels


class PatchStream:
    """The pixels of a patch set in its files, indexed like a tensor in memory.

    Once the windows of a pass are known (`read_ahead`), a thread reads the next one while batches are taken from the
    current one, so at most two are in memory. All other rows, such as those of a validation or the partners of pairs,
    are read one batch at a time.

    Attributes:
        shape: [N, 3, H, W].
        device: the CPU, where patches are taken from it.
    """

    device = CPU

    def __init__(self, patches: PatchSequence) -> None:
        count, height, width, channels = patches.shape
        self.shape = (count, channels, height, width)
        self._patches = patches
        self._windows: deque[_Window] = deque()
        self._current_pass = 0

    def read_ahead(self, windows: Sequence[Tensor]) -> None:
        """Announce the windows of the pass after the current one, int64 [n] each, in their order.

        Of the windows before the current pass, only the last one may still be needed, for a batch of both passes. If a
        pass is one window, it stays in memory for all passes.
        """
        if self._current_pass == 1 == len(windows):
            return
        while len(self._windows) > self._current_pass + 1:
            self._windows.popleft()
        self._windows.extend(_Window(rows.numpy()) for rows in windows)
        self._current_pass = len(windows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the patches at `rows`, int64 [B], as uint8 [B, 3, H, W], channels_last.

        Raises:
            PatchSetError: a file is missing or damaged.
        """
        wanted = rows.numpy()
        self._leave_behind(wanted)
        images = np.empty((len(wanted), *self._patches.shape[1:]), np.uint8)
        missing = np.ones(len(wanted), np.bool_)
        for window in list(self._windows)[:2]:
            here = missing & window.holds(wanted)
            window.start(self._patches.read)
            if here.any():
                images[here] = window.take(wanted[here])
                missing &= ~here
        if missing.any():
            images[missing] = self._patches.read(wanted[missing]).numpy()
        return torch.from_numpy(images).permute(0, 3, 1, 2)

    def _leave_behind(self, rows: Rows) -> None:
        """Drop the current window if all of `rows` are in the next one, and not all in this one."""
        if len(self._windows) > 1:
            current, following = self._windows[0].holds(rows), self._windows[1].holds(rows)
            if following.all() and not current.all():
                self._windows.popleft()


class _Window:
    """Rows whose pixels are read by a thread."""

    def __init__(self, rows: Rows) -> None:
        self._rows = np.sort(rows)
        self._pixels: Future[Tensor] | None = None

    def holds(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which of `rows` are in the window, bool [n]."""
        places = np.searchsorted(self._rows, rows).clip(max=len(self._rows) - 1)
        return self._rows[places] == rows

    def start(self, read: Callable[[Rows], Tensor]) -> None:
        """Begin to read the pixels; a process that ends does not wait for them."""
        if self._pixels is None:
            self._pixels = Future()
            Thread(target=self._read, args=(read, self._pixels), daemon=True).start()

    def take(self, rows: Rows) -> Pixels:
        """Return the patches at `rows`, which are in the window, once they are read."""
        assert self._pixels is not None
        return np.asarray(self._pixels.result().numpy()[np.searchsorted(self._rows, rows)])

    def _read(self, read: Callable[[Rows], Tensor], pixels: "Future[Tensor]") -> None:
        try:
            pixels.set_result(read(self._rows))
        except BaseException as error:  # raised where the pixels are taken
            pixels.set_exception(error)
