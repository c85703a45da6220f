"""The feature entropy loss of PathUp and its memory of anchors."""

import pytest
import torch
import torch.nn.functional as F

from histoforge.generators.pathup import feature_entropy
from histoforge.generators.pathup.feature_entropy import FeatureMemory


def rng(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    return F.normalize(torch.randn(6, 5, generator=rng(1)), dim=1), torch.tensor([0, 3, 3, 1, 0, 2])


def test_the_loss_is_equation_3_summed_over_all_anchors(batch):
    features, conditions = batch[0].requires_grad_(), batch[1]
    memory = FeatureMemory(4, 5, rng(0))
    loss = memory.loss(features, conditions, torch.ones(6), temperature=0.3)
    total = 0.0
    for z, c in zip(features, conditions.tolist(), strict=True):
        similarities = [torch.exp(torch.dot(z, k) / 0.3) for k in memory.anchors]
        total = total - torch.log(similarities[c] / sum(similarities))
    torch.testing.assert_close(loss, total / 6)
    expected = F.cross_entropy(features @ memory.anchors.T / 0.3, conditions)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, features)
    (naive,) = torch.autograd.grad(total / 6, features)
    torch.testing.assert_close(gradient, naive)


def test_images_without_weight_do_not_count(batch):
    features, conditions = batch
    memory = FeatureMemory(4, 5, rng(0))
    weights = torch.tensor([1.0, 0, 0.5, 0, 0, 0])
    losses = [float(memory.loss(features[i : i + 1], conditions[i : i + 1], torch.ones(1), 0.07)) for i in (0, 2)]
    assert float(memory.loss(features, conditions, weights, 0.07)) == pytest.approx((losses[0] + losses[1] / 2) / 1.5)
    assert float(memory.loss(features, conditions, torch.zeros(6), 0.07)) == 0.0


def test_an_anchor_is_the_normalised_moving_average_of_its_mean_features(batch):
    features, conditions = batch
    memory = FeatureMemory(5, 5, rng(0))
    before = memory.anchors.clone()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(5))
    kept = torch.tensor([True, True, True, True, False, True])
    memory.update(features, conditions, kept, decay=0.9)
    means = [features[0], features[3], features[5], (features[1] + features[2]) / 2]
    for condition, mean in enumerate(means):
        expected = 0.9 * before[condition] + 0.1 * mean
        torch.testing.assert_close(memory.anchors[condition], expected / expected.norm())
    torch.testing.assert_close(memory.anchors[4], before[4], rtol=0, atol=0)
    assert not memory.anchors.requires_grad


def test_processes_with_shares_of_a_batch_move_the_anchors_as_one_with_all_of_it(batch, monkeypatch):
    features, conditions = batch
    whole, shared = FeatureMemory(4, 5, rng(0)), FeatureMemory(4, 5, rng(0))
    whole.update(features, conditions, torch.ones(6, dtype=torch.bool), decay=0.9)
    members = F.one_hot(conditions[2:], 4).float()
    others = [members.T @ features[2:], members.sum(0)]  # what the second process contributes
    monkeypatch.setattr(feature_entropy, "mean", lambda values: (values + others.pop(0)) / 2)
    monkeypatch.setattr(feature_entropy, "world_size", lambda: 2)
    shared.update(features[:2], conditions[:2], torch.ones(2, dtype=torch.bool), decay=0.9)
    torch.testing.assert_close(shared.anchors, whole.anchors)
