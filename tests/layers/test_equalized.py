"""Equalised learning rate: what is computed does not change, and each layer starts with unit variance."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from histoforge.layers.equalized import GAIN, SLOPE, EqualizedConv2d, EqualizedLinear


def test_a_linear_layer_scales_its_weights_and_its_bias():
    torch.manual_seed(0)
    layer = EqualizedLinear(6, 4, bias=1.0, rate=0.01, gain=GAIN)
    x = torch.randn(5, 6)
    expected = math.sqrt(2) * (x @ (0.01 * layer.weight).t() / math.sqrt(6) + 0.01 * layer.bias)
    assert_close(layer(x), expected)
    assert_close(0.01 * layer.bias, torch.ones(4))


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_a_step_of_adam_moves_the_result_in_proportion_to_the_rate(rate):
    torch.manual_seed(0)
    layer = EqualizedLinear(100, 1, rate=rate)
    before = layer.weight_scale * layer.weight.detach()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    moved = (before - layer.weight_scale * layer.weight).abs()
    assert_close(moved, torch.full_like(moved, 0.1 * rate / math.sqrt(100)), rtol=1e-3, atol=0)


def test_a_convolution_scales_its_weights_by_the_size_of_its_kernel():
    torch.manual_seed(0)
    layer = EqualizedConv2d(4, 6, 3, stride=2, padding=1, gain=2.0)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 8, 8)
    expected = 2 * F.conv2d(x, layer.weight / math.sqrt(4 * 9), layer.bias, stride=2, padding=1)
    assert_close(layer(x), expected)


def test_the_gain_may_stand_before_the_activation():
    torch.manual_seed(0)
    plain, with_gain = EqualizedConv2d(4, 4, 1), EqualizedConv2d(4, 4, 1, gain=GAIN)
    with_gain.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4, 3, 3)
    assert_close(F.leaky_relu(with_gain(x), SLOPE), math.sqrt(2) * F.leaky_relu(plain(x), SLOPE))


def test_a_signal_of_unit_variance_stays_one():
    torch.manual_seed(0)
    x = torch.randn(4, 64, 24, 24)
    inner = EqualizedConv2d(64, 64, 3)(x)
    assert inner.var().item() == pytest.approx(1, rel=0.1)
