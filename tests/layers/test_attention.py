import pytest
import torch
from torch.autograd import gradgradcheck

from histoforge.layers.attention import SelfAttention


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return SelfAttention(16)


def test_starts_as_the_identity(layer):
    x = torch.randn(2, 16, 5, 3)
    torch.testing.assert_close(layer(x), x, rtol=0, atol=0)


def test_each_row_of_the_map_sums_to_one(layer):
    _, attention = layer.attend(torch.randn(2, 16, 5, 3))
    assert attention.shape == (2, 15, 15)
    torch.testing.assert_close(attention.sum(2), torch.ones(2, 15))


def test_equals_equations_2_and_3_written_out_position_by_position(layer):
    torch.nn.init.constant_(layer.gate, 0.7)
    x = torch.randn(1, 16, 2, 3)
    positions = x[0].flatten(1).T  # [6, 16]
    wq, wk, wv = (conv.weight[:, :, 0, 0] for conv in (layer.query, layer.key, layer.value))
    expected = torch.empty(6, 16)
    for j in range(6):
        scores = torch.stack([(wq @ positions[j]) @ (wk @ positions[i]) for i in range(6)])
        alpha = scores.exp() / scores.exp().sum()
        attended = sum(alpha[i] * (wv @ positions[i]) for i in range(6))
        expected[j] = positions[j] + 0.7 * attended
    torch.testing.assert_close(layer(x)[0].flatten(1).T, expected, rtol=1e-4, atol=1e-5)


def test_queries_and_keys_have_an_eighth_of_the_channels(layer):
    assert layer.query.out_channels == layer.key.out_channels == 2
    assert layer.value.out_channels == 16


def test_can_be_differentiated_twice():
    torch.manual_seed(0)
    layer = SelfAttention(2).double()
    torch.nn.init.constant_(layer.gate, 0.5)
    assert gradgradcheck(layer, torch.randn(1, 2, 2, 2, dtype=torch.float64, requires_grad=True))
