"""The fast strided convolutions against those of torch."""

import pytest
import torch
from torch import nn

from histoforge.layers import strided_conv
from histoforge.layers.strided_conv import StridedConv2d, StridedConvTranspose2d, _Conv, _Transpose

DOWN = (StridedConv2d(16, 24), nn.Conv2d(16, 24, 4, 2, 1, bias=False), (3, 16, 8, 12))
BIASED = (StridedConv2d(16, 24, bias=True), nn.Conv2d(16, 24, 4, 2, 1), (3, 16, 8, 12))
UP = (StridedConvTranspose2d(24, 16), nn.ConvTranspose2d(24, 16, 4, 2, 1, bias=False), (3, 24, 4, 6))


@pytest.fixture(autouse=True, params=[True, False], ids=["AMX", "no AMX"])
def _kernels(request, monkeypatch):
    """Use the kernels of processors with and without AMX in turn."""
    monkeypatch.setattr(strided_conv, "HAS_AMX", request.param)


def _derivatives(ours, reference, shape):
    """Return the value and the first and second gradients of both layers, as a gradient penalty needs them."""
    reference.load_state_dict(ours.state_dict())
    results = []
    for layer in (ours, reference):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(x)
            to_x, to_w = torch.autograd.grad(y.float().square().sum(), (x, layer.weight), create_graph=True)
            (second,) = torch.autograd.grad(to_x.float().square().sum(), layer.weight)
        results.append([y.float(), to_x.float(), to_w, second])
    return results


@pytest.mark.parametrize("layers", [DOWN, BIASED, UP], ids=["down", "biased", "up"])
def test_values_and_gradients_are_those_of_torch(layers):
    ours, expected_results = _derivatives(*layers)
    for value, expected in zip(ours, expected_results, strict=True):
        assert value.dtype == expected.dtype
        torch.testing.assert_close(value, expected, rtol=0.03, atol=0.01 * expected.abs().max().item())


@pytest.mark.parametrize("side", [4, 14], ids=["as products", "as torch has it"])
def test_first_and_second_derivatives_are_those_of_the_function(side):
    rng = torch.Generator().manual_seed(0)
    large, small, weight = (
        torch.randn(*shape, dtype=torch.float64, generator=rng).requires_grad_()
        for shape in ((1, 2, side, side), (1, 3, side // 2, side // 2), (3, 2, 4, 4))
    )
    for function, map in ((_Conv.apply, large), (_Transpose.apply, small)):
        assert torch.autograd.gradcheck(function, (map, weight))
        assert torch.autograd.gradgradcheck(function, (map, weight))


@pytest.mark.parametrize("layers", [DOWN, UP], ids=["down", "up"])
def test_the_result_keeps_channels_last(layers):
    ours, _, shape = layers
    with torch.autocast("cpu", torch.bfloat16):
        y = ours(torch.randn(shape).contiguous(memory_format=torch.channels_last))
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layers", [DOWN, UP], ids=["down", "up"])
def test_float32_equals_the_layer_of_torch_bitwise(layers):
    ours, reference, shape = layers
    reference.load_state_dict(ours.state_dict())
    x = torch.randn(shape)
    assert torch.equal(ours(x), reference(x))
