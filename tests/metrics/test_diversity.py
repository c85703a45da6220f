"""Signs of mode collapse: seen where a generator collapsed, and not where it did not."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from histoforge.metrics.diversity import distinct_neighbours, diversity, mean_pairwise_distance

CLASSES = ["a", "b"]
N, D = 200, 5


def cloud(seed, n=N, centre=0.0):
    return np.random.default_rng(seed).normal(centre, 1, (n, D)).astype(np.float32)


def both(fakes):
    """Two classes far apart, the generated side given by class."""
    labels = np.arange(2).repeat(N)
    real = np.concatenate([cloud(1), cloud(2, centre=20)])
    return diversity(real, labels, np.concatenate(fakes), labels, CLASSES, "features")


def test_the_pairwise_distance_is_scipys():
    assert mean_pairwise_distance(cloud(1)) == pytest.approx(pdist(cloud(1).astype(np.float64)).mean(), rel=1e-5)
    assert mean_pairwise_distance(np.zeros((4, D), np.float32)) == 0
    with pytest.raises(ValueError, match="at least two samples"):
        mean_pairwise_distance(cloud(1, 1))


def test_distinct_neighbours_are_counted():
    points = np.eye(D, dtype=np.float32)
    assert distinct_neighbours(points, points) == 1
    assert distinct_neighbours(points[[0, 0, 1, 1]], points) == 0.5


def test_a_generator_that_draws_the_distribution_shows_no_sign():
    result = both([cloud(3), cloud(4, centre=20)])
    assert result.collapsed == []
    assert result.spread == pytest.approx(1, abs=0.1)
    assert result.distinct == pytest.approx(result.distinct_real, abs=0.1)
    assert result.note == ""


def test_a_class_that_collapsed_is_named_although_all_classes_together_vary():
    result = both([cloud(3), np.full((N, D), 20, np.float32) + 0.01 * cloud(4)])
    assert result.collapsed == ["b"]
    assert result.classes[1].spread < 0.05
    assert result.classes[1].distinct < 0.1


def test_fakes_that_vary_around_few_reals_are_named():
    """Wide apart, yet near the same few real patches: the second sign alone."""
    real = np.concatenate([cloud(1, 190), cloud(2, 10, centre=60)])
    fake = cloud(3, centre=60)
    result = diversity(real, np.zeros(N, int), fake, np.zeros(N, int), ["a"], "features")
    row = result.classes[0]
    assert row.distinct < 0.5 * row.distinct_real
    assert result.collapsed == ["a"]


def test_a_class_without_patches_enough_is_left_out_and_named():
    labels = np.array([0] * 100 + [1] * 4)
    result = diversity(cloud(1, 104), labels, cloud(2, 104), labels, CLASSES, "features")
    assert [row.class_name for row in result.classes] == ["a"]
    assert result.note == "Too few patches to judge: b."
    nothing = diversity(cloud(1, 4), np.ones(4, int), cloud(2, 4), np.ones(4, int), CLASSES, "features")
    assert (nothing.spread, nothing.distinct, nothing.classes) == (None, None, [])
