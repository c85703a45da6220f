"""The search for similar coarse structure against one over all pairs at once."""

import numpy as np
import pytest
import torch

from histoforge.metrics import coarse_search
from histoforge.metrics.coarse_search import CANDIDATES, nearest_coarse
from histoforge.metrics.structure import CELLS, symmetries

NOWHERE = torch.empty(0, 2, dtype=torch.int64)


def cells(count, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, CELLS, CELLS))).float()


@pytest.mark.parametrize("gallery_rows", [4, 7, 4096])
def test_the_most_similar_patches_of_all_blocks_are_found_with_their_views(monkeypatch, gallery_rows):
    monkeypatch.setattr(coarse_search, "GALLERY_ROWS", gallery_rows)
    gallery, turns = cells(23, seed=0), [3, 0, 5, 6]
    queries = torch.stack([symmetries(gallery[row : row + 1])[turns[n], 0] for n, row in enumerate((2, 22, 9, 9))])
    rows, views, allowed = nearest_coarse(queries, gallery, NOWHERE)
    assert rows.shape == views.shape == (4, CANDIDATES)
    assert rows[:, 0].tolist() == [2, 22, 9, 9]
    back = [symmetries(queries[n : n + 1])[views[n, 0], 0] for n in range(4)]
    torch.testing.assert_close(torch.stack(back), gallery[rows[:, 0]])
    assert allowed.all()
    monkeypatch.setattr(coarse_search, "GALLERY_ROWS", 4096)
    torch.testing.assert_close((rows, views), nearest_coarse(queries, gallery, NOWHERE)[:2])


@pytest.mark.parametrize("gallery_rows", [2, 4096])
def test_excluded_pairs_do_not_count(monkeypatch, gallery_rows):
    monkeypatch.setattr(coarse_search, "GALLERY_ROWS", gallery_rows)
    gallery = cells(5, seed=1)
    excluded = torch.tensor([[0, 0], [1, 1], [1, 4]])
    rows, _, allowed = nearest_coarse(gallery[:2], gallery, excluded)
    counted = [set(rows[query][allowed[query]].tolist()) for query in range(2)]
    assert counted == [{1, 2, 3, 4}, {0, 2, 3}]
