"""Windows over a large latent: where they lie, and how much each of their pixels counts where they overlap."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from histoforge.training import processes

Corner = tuple[int, int]
"""Row and column of the upper left pixel of a window."""
Size = tuple[int, int]
"""Height and width."""


def window_starts(length: int, window: int, overlap: int, shift: int = 0) -> list[int]:
    """Return where windows start along one side; the last one is flush with the border (A3-8).

    Args:
        length: length of the side, at least `window`.
        window: length of a window.
        overlap: pixels that neighbours share, less than `window`; the last two may share more.
        shift: how far the inner windows are moved towards the start, less than `window - overlap`.
    """
    stride = window - overlap
    return sorted({0, *range(stride - shift, length - window, stride), length - window})


def window_corners(area: Size, window: Size, overlap: int, shift: Corner = (0, 0)) -> list[Corner]:
    """Return the corners of the windows that cover an area, row by row; see `window_starts`."""
    rows, columns = (window_starts(area[axis], window[axis], overlap, shift[axis]) for axis in (0, 1))
    return list(product(rows, columns))


def pixel_overlap(share: float, window: Size) -> int:
    """Return how many pixels neighbouring windows share, less than a window.

    Args:
        share: share of a window that its neighbour covers.
        window: height and width of a window.
    """
    return min(round(share * min(window)), min(window) - 1)


def window_borders(length: int, window: int, overlap: int) -> list[int]:
    """Return the pixels along one side at which a window starts or has just ended, without the ends of the side."""
    starts = window_starts(length, window, overlap)
    return sorted({*starts, *(start + window for start in starts)} - {0, length})


def edge_distance(window: Size) -> Tensor:
    """Return the distance of each pixel of a window to its nearest edge, relative to the side, float32 [h, w]."""
    rows, columns = (_distance_along(side) for side in window)
    return torch.minimum(rows[:, None], columns)


def _distance_along(side: int) -> Tensor:
    centres = torch.arange(side) + 0.5
    return torch.minimum(centres, side - centres) / side


def weight_map(kind: str, window: Size) -> Tensor:
    """Return the weights with which the pixels of a window are merged, float32 [h, w].

    PathUp's eq. 6, min(|p - p'|, |q - q'|) / L_p, contradicts the range [0.5, 1] that the text gives it, and is 0 along
    the axes through the centre. A3-5: 1 - max(|p - p'|, |q - q'|) / L_p, which is 0.5 plus the distance to the edge,
    has that range.

    Args:
        kind: 'paper' for A3-5; 'tent' for the distance to the edge alone, so that a window fades out; 'none' for equal
            weights.
        window: height and width of a window.
    """
    if kind == "none":
        return torch.ones(window)
    return edge_distance(window) + (0.5 if kind == "paper" else 0.0)


def merge_windows(
    compute: Callable[[Sequence[Corner]], Tensor],
    corners: Sequence[Corner],
    shape: tuple[int, int, int],
    weights: Tensor,
    batch_size: int,
) -> Tensor:
    """Compute windows in batches, and return their weighted mean at each pixel of an area, float32 [C, H, W].

    Several processes each compute some of the batches.

    Args:
        compute: returns the windows at some corners, [B, C, h, w].
        corners: corners of all windows, which cover the area.
        shape: channels, height and width of the area.
        weights: weight of each pixel of a window, float32 [h, w].
        batch_size: windows per call.
    """
    total, weight = torch.zeros(shape), torch.zeros(shape[1:])
    batches = [corners[start : start + batch_size] for start in range(0, len(corners), batch_size)]
    for batch in batches[processes.rank() :: processes.world_size()]:
        for corner, values in zip(batch, compute(batch).float().cpu(), strict=True):
            crop(total, corner, weights.shape).add_(weights * values)
    for corner in corners:
        crop(weight, corner, weights.shape).add_(weights)
    return processes.total(total) / weight


def crop(area: Tensor, corner: Corner, window: Sequence[int]) -> Tensor:
    """Return a view of a window, [..., h, w], of an area, [..., H, W]."""
    (row, column), (height, width) = corner, window
    return area[..., row : row + height, column : column + width]
