"""The order in which training sees patches: shuffled in windows, so that a set need not fit into memory."""

import torch
from torch import Tensor

WINDOW_BYTES = 1 << 30
"""Size of the pixels in a window. A constant, so that the order of training depends on no machine."""


def shuffled_windows(chunks: Tensor, window_rows: int, rng: torch.Generator) -> list[Tensor]:
    """Shuffle the rows of a patch set for one pass.

    The chunks are shuffled and grouped into windows, and the rows of each window are shuffled. If all rows fit into one
    window, the result is a uniform permutation.

    Args:
        chunks: the chunk of each row, int64 [N].
        window_rows: maximum number of rows in a window; a larger chunk is a window by itself.
        rng: source of all random choices.

    Returns:
        The rows of each window in the order of the pass, int64 [n] each.
    """
    if len(chunks) <= window_rows:
        return [torch.randperm(len(chunks), generator=rng)]
    _, chunk_of_row, sizes = chunks.unique(return_inverse=True, return_counts=True)
    window_of_chunk = torch.empty_like(sizes)
    window, filled = 0, 0
    for chunk in torch.randperm(len(sizes), generator=rng).tolist():
        size = int(sizes[chunk])
        if filled and filled + size > window_rows:
            window, filled = window + 1, 0
        window_of_chunk[chunk] = window
        filled += size
    window_of_row = window_of_chunk[chunk_of_row]
    windows = window_of_row.argsort(stable=True).split(window_of_row.bincount().tolist())
    return [rows[torch.randperm(len(rows), generator=rng)] for rows in windows]
