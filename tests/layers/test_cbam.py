import math

import pytest
import torch

from histoforge.layers.cbam import CBAM


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = CBAM(32).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    layer.norm.running_mean.fill_(0.2)
    layer.norm.running_var.fill_(1.7)
    return layer.requires_grad_(False)


def sigmoid(value):
    return 1 / (1 + math.exp(-float(value)))


def test_equals_equations_1_to_3_written_out_value_by_value(layer):
    x = torch.randn(32, 3, 5)
    first, _, second = layer.mlp

    def mlp(pooled):
        hidden = [max(0.0, float(row @ pooled + bias)) for row, bias in zip(first.weight, first.bias, strict=True)]
        return [float(row @ torch.tensor(hidden) + bias) for row, bias in zip(second.weight, second.bias, strict=True)]

    average = mlp(torch.stack([channel.sum() / 15 for channel in x]))
    maximum = mlp(torch.stack([channel.max() for channel in x]))
    gated = torch.stack([c * sigmoid(a + m) for c, a, m in zip(x, average, maximum, strict=True)])
    padded = torch.zeros(2, 3 + 6, 5 + 6)
    padded[0, 3:6, 3:8] = gated.max(0).values
    padded[1, 3:6, 3:8] = gated.sum(0) / 32
    expected = torch.empty_like(gated)
    for row in range(3):
        for column in range(5):
            logit = (layer.conv.weight[0] * padded[:, row : row + 7, column : column + 7]).sum()
            logit = (logit - 0.2) / math.sqrt(1.7 + 1e-5) * layer.norm.weight[0] + layer.norm.bias[0]
            expected[:, row, column] = gated[:, row, column] * sigmoid(logit)
    torch.testing.assert_close(layer(x[None])[0], expected)


def test_starts_with_a_factor_of_one_half_at_all_positions():
    layer = CBAM(32).requires_grad_(False)
    x = torch.randn(2, 32, 4, 4)
    factor = layer(x) / x
    assert float((factor.amax((2, 3)) - factor.amin((2, 3))).max()) < 1e-5
    torch.nn.init.zeros_(layer.mlp[2].weight)
    torch.testing.assert_close(layer(x), x / 4)


def test_the_hidden_layer_is_sixteen_times_smaller_and_has_at_least_one_unit():
    assert CBAM(256).mlp[0].out_features == 16
    assert CBAM(8).mlp[0].out_features == 1
