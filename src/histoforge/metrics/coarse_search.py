"""The first part of the search for registered copies: patches with similar coarse structure, by blocks of a gallery."""

import torch
from torch import Tensor
from torch.nn import functional as F

from histoforge.metrics.structure import CELLS, symmetries

CANDIDATES = 5
GALLERY_ROWS = 4096


def nearest_coarse(queries: Tensor, gallery: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the patches of a gallery whose coarse structure is most similar to that of each query.

    Args:
        queries, gallery: coarse structures (`Structure.coarse`), [Q, CELLS, CELLS] and [G, CELLS, CELLS].
        excluded: pairs (query, row of the gallery) that do not count, int64 [P, 2].

    Returns:
        Their rows in the gallery, int64 [Q, n], the view of the query that matches, a row of `structure.symmetries`,
        int64 [Q, n], and whether the pair counts, bool [Q, n]; n is `CANDIDATES`, or less in a small gallery.
    """
    best = []
    for start in range(0, len(gallery), GALLERY_ROWS):
        scores, views = _coarse_scores(queries, gallery[start : start + GALLERY_ROWS])
        query, row = excluded[(excluded[:, 1] >= start) & (excluded[:, 1] < start + scores.shape[1])].unbind(1)
        scores[query, row - start] = -3
        top = scores.topk(min(CANDIDATES, scores.shape[1]), dim=1)
        best.append((top.values, top.indices + start, views.gather(1, top.indices).long()))
    scores, rows, views = (torch.cat(parts, 1) for parts in zip(*best, strict=True))
    top = scores.topk(min(CANDIDATES, len(gallery)), dim=1)
    return rows.gather(1, top.indices), views.gather(1, top.indices), top.values > -3


def _coarse_scores(queries: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
    """Return the highest correlation over views and shifts, float [Q, G], and the view, uint8 [Q, G]."""
    inner = CELLS - 2
    windows = [_unit(gallery[:, y : y + inner, x : x + inner]) for y in range(3) for x in range(3)]
    best = torch.full((len(queries), len(gallery)), -2.0)
    best_view = torch.zeros(best.shape, dtype=torch.uint8)
    for number, view in enumerate(symmetries(queries[:, 1:-1, 1:-1])):
        scores = torch.stack([_unit(view) @ window.T for window in windows]).amax(0)
        best_view[scores > best] = number
        best = torch.maximum(best, scores)
    return best, best_view


def _unit(cells: Tensor) -> Tensor:
    """Return centred vectors of length 1, [N, D]."""
    vectors = cells.flatten(1)
    return F.normalize(vectors - vectors.mean(1, keepdim=True), dim=1)
