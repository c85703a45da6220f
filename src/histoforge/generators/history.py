"""History of a generator's training for its report: values of each epoch, and pictures."""

from typing import Any

import torch
from torch import Tensor


class History:
    """One row per epoch: means over its steps' values, and values of the epoch such as its FID.

    A mean is over the steps that have the value, so that a training may have several stages.

    Attributes:
        rows: the content of `history.json`, one dict per epoch.
        snapshots: pictures of fixed noise by epoch, uint8 [N, H, W, 3].
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float | int | None]] = []
        self.snapshots: dict[int, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add_step(self, values: dict[str, Tensor]) -> None:
        """Add the values of a step, scalars."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros_like(value, dtype=torch.float64)) + value.double()
            self._counts[name] = self._counts.get(name, 0) + 1

    def end_epoch(self, epoch: int, step: int, **epoch_values: float | None) -> None:
        """Finish an epoch's row."""
        self.rows.append({"epoch": epoch, "step": step, **self.means(), **epoch_values})
        self._sums, self._counts = {}, {}

    def means(self) -> dict[str, float]:
        """Return the means over the steps of the current epoch."""
        return {name: float(total) / self._counts[name] for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        vars(self).update(state)
