"""Precision, recall, density and coverage against their definitions, point by point."""

import numpy as np
import pytest
import torch

from histoforge.metrics.features import nearest
from histoforge.metrics.prdc import manifold_scores


def radius(points: np.ndarray, i: int, k: int) -> float:
    others = [float(np.linalg.norm(points[i] - points[j])) for j in range(len(points)) if j != i]
    return sorted(others)[k - 1]


def by_definition(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float, float, float]:
    real_radii = [radius(real, i, k) for i in range(len(real))]
    fake_radii = [radius(fake, i, k) for i in range(len(fake))]
    in_real = [[float(np.linalg.norm(y - x)) <= r for x, r in zip(real, real_radii, strict=True)] for y in fake]
    in_fake = [[float(np.linalg.norm(x - y)) <= r for y, r in zip(fake, fake_radii, strict=True)] for x in real]
    precision = sum(any(row) for row in in_real) / len(fake)
    recall = sum(any(row) for row in in_fake) / len(real)
    density = sum(sum(row) for row in in_real) / (k * len(fake))
    coverage = sum(any(row[i] for row in in_real) for i in range(len(real))) / len(real)
    return precision, recall, density, coverage


@pytest.mark.parametrize("block", [1 << 24, 60])
@pytest.mark.parametrize("neighbours", [1, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_definitions(monkeypatch, block, neighbours, dtype):
    monkeypatch.setattr("histoforge.metrics.features.BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(40, 3)).astype(dtype), (rng.normal(size=(30, 3)) * 1.5 + 0.5).astype(dtype)
    scores = manifold_scores(real, fake, neighbours)
    result = (scores.precision, scores.recall, scores.density, scores.coverage)
    np.testing.assert_allclose(result, by_definition(real, fake, neighbours))


def test_a_copy_of_the_real_set_is_perfect_even_with_duplicates_in_it():
    features = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32) + 100
    features = np.concatenate([features, features[:20]])
    scores = manifold_scores(features, features, neighbours=1)
    assert (scores.precision, scores.recall, scores.coverage) == (1.0, 1.0, 1.0)


def test_far_fakes_score_nothing():
    rng = np.random.default_rng(2)
    scores = manifold_scores(rng.normal(size=(30, 4)), rng.normal(size=(30, 4)) + 1000)
    assert (scores.precision, scores.recall, scores.density, scores.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_mode_collapse_keeps_precision_and_loses_recall_and_coverage():
    rng = np.random.default_rng(3)
    real = rng.normal(size=(200, 2))
    scores = manifold_scores(real, real[:1] + rng.normal(size=(200, 2)) * 1e-3)
    assert scores.precision == 1.0
    assert scores.recall < 0.05
    assert scores.coverage < 0.1


def test_too_few_samples_for_the_neighbours_are_refused():
    with pytest.raises(ValueError, match="5 neighbours"):
        manifold_scores(np.zeros((5, 2)), np.zeros((50, 2)), neighbours=5)


def test_nearest_finds_distances_and_places(monkeypatch):
    monkeypatch.setattr("histoforge.metrics.features.BLOCK_ELEMENTS", 50)
    rng = np.random.default_rng(4)
    queries, points = rng.normal(size=(21, 3)), rng.normal(size=(17, 3))
    all_pairs = np.linalg.norm(queries[:, None] - points[None], axis=2)
    distances, indices = nearest(torch.from_numpy(queries), torch.from_numpy(points))
    np.testing.assert_array_equal(indices, all_pairs.argmin(1))
    np.testing.assert_allclose(distances, all_pairs.min(1))
