"""Gated attention against its equation, written as a loop, and its identities."""

import torch
from torch.testing import assert_close

from histoforge.layers.gated_attention import GatedAttention


def make(branches=1):
    torch.manual_seed(0)
    layer = GatedAttention(6, branches).requires_grad_(False)
    torch.nn.init.normal_(layer.w.weight)
    return layer, torch.randn(2, 5, 6)


def test_the_weights_are_those_of_the_equation():
    layer, bags = make(branches=3)
    V, U, w = layer.V.weight, layer.U.weight, layer.w.weight
    expected = torch.empty(2, 3, 5)
    for b, bag in enumerate(bags):
        for branch in range(3):
            scores = [w[branch] @ (torch.tanh(V @ h) * torch.sigmoid(U @ h)) for h in bag]
            total = sum(score.exp() for score in scores)
            expected[b, branch] = torch.stack([score.exp() / total for score in scores])
    assert_close(layer(bags), expected)


def test_the_weights_of_a_bag_sum_to_one():
    layer, bags = make()
    assert_close(layer(bags).sum(2), torch.ones(2, 1))


def test_the_weights_follow_the_instances_into_another_order():
    layer, bags = make()
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_close(layer(bags[:, order]), layer(bags)[..., order])


def test_instances_that_are_left_out_have_no_weight_and_change_nothing():
    layer, bags = make()
    left_out = torch.tensor([[False, True, False, False, True], [False] * 5])
    weights = layer(bags, left_out)
    assert_close(weights[0, 0, [0, 2, 3]], layer(bags[:1, [0, 2, 3]])[0, 0])
    assert_close(weights[0, 0, [1, 4]], torch.zeros(2))
    assert_close(weights[1], layer(bags)[1])


def test_a_bag_of_which_everything_is_left_out_keeps_everything():
    layer, bags = make()
    assert_close(layer(bags, torch.ones(2, 5, dtype=torch.bool)), layer(bags))
