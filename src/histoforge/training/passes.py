"""The passes over the training data: the rows of each batch, in an order that depends on the number of the pass."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

BatchT_co = TypeVar("BatchT_co", covariant=True)


class TrainingData(Protocol[BatchT_co]):
    """Data that batches are made of, such as `DevicePatches`."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor) -> BatchT_co:
        """Return the data of `rows`, int64 [B]."""
        ...

    def order(self, rng: torch.Generator, first: int = 0) -> Tensor:
        """Return the rows of a pass, shuffled by `rng`, from position `first` on, int64 [N - first]."""
        ...


def shuffled_rows(
    data: TrainingData[Any], batch_size: int, step: int, rng_of_pass: Callable[[int], torch.Generator]
) -> Iterator[Tensor]:
    """Yield the rows of each batch, int64 [batch_size], of an endless series of passes.

    The order of the next pass is asked for in advance, so that data can be read ahead across the end of a pass.

    Args:
        data: the training data.
        batch_size: rows per batch.
        step: number of batches to leave out at the start.
        rng_of_pass: returns the generator that shuffles a pass, by its number.
    """
    number, first = divmod(step * batch_size, len(data))
    rows, following = data.order(rng_of_pass(number), first), data.order(rng_of_pass(number + 1))
    while True:
        while len(rows) < batch_size:
            number += 1
            rows, following = torch.cat([rows, following]), data.order(rng_of_pass(number + 1))
        yield rows[:batch_size]
        rows = rows[batch_size:]
