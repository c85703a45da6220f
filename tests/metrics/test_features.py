"""Nearest neighbours among features that lie closer together than a matrix product can tell."""

import numpy as np
import pytest
import torch

from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.features import nearest, squared_distance_blocks
from histoforge.metrics.memorisation import audit_memorisation


@pytest.fixture
def copies():
    """Features of 40 patches, 25 near copies of each, and of one more copy of each: [1000, 64] and [1000, 64]."""
    rng = np.random.default_rng(0)
    patches = rng.normal(3, 1, (40, 1, 64))
    points = (patches + rng.normal(0, 1e-3, (40, 25, 64))).reshape(-1, 64).astype(np.float32)
    queries = (points + rng.normal(0, 1e-4, points.shape)).astype(np.float32)
    return torch.from_numpy(queries), torch.from_numpy(points)


def test_the_nearest_of_several_near_copies_is_found(copies):
    queries, points = copies
    distances, indices = nearest(queries, points)
    exact = torch.cdist(queries.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(indices, exact.argmin(1))
    torch.testing.assert_close(indices, torch.arange(len(points)))
    torch.testing.assert_close(distances.double(), exact.amin(1))


def test_the_nearest_other_of_several_near_copies_is_found(copies):
    points = copies[1]
    exact = torch.cdist(points.double(), points.double(), compute_mode="donot_use_mm_for_euclid_dist")
    exact.fill_diagonal_(torch.inf)
    distances, indices = nearest(points, points, exclude_self=True)
    torch.testing.assert_close(indices, exact.argmin(1))
    torch.testing.assert_close(distances.double(), exact.amin(1), rtol=1e-4, atol=0)


def test_of_equal_points_the_first_is_named_at_distance_zero():
    points = torch.randn(5, 8, generator=torch.Generator().manual_seed(0)).repeat(3, 1)
    distances, indices = nearest(points, points)
    torch.testing.assert_close(indices, torch.arange(5).repeat(3))
    assert not distances.any()
    for rows, squared in squared_distance_blocks(points, points):
        assert not squared[torch.arange(15), torch.arange(15)[rows] % 5].any()


def test_a_near_copy_is_no_more_authentic_than_its_distance_says(copies):
    queries, points = copies
    audit = audit_memorisation(EuclideanSpace(queries, points, points + 0.5, "test"))
    assert audit.authenticity == 0, "each synthetic patch is nearer to its training patch than any other one is"
