"""The modulated convolution against one convolution per image, written out as in eqs. 1 to 3, and a grouped one."""

import pytest
import torch
import torch.nn.functional as F
from scipy.signal import upfirdn
from torch.testing import assert_close

from histoforge.layers.modulated_conv import ModulatedConv2d


def layer_and_inputs(**kind):
    torch.manual_seed(0)
    layer = ModulatedConv2d(4, 6, kind.pop("kernel", 3), style_dim=5, **kind)
    return layer, torch.randn(3, 4, 6, 8), torch.randn(3, 5)


def weights_of(layer, style):
    """w'' of one image, by loops over the channels."""
    modulation = layer.affine(style[None])[0]
    weights = torch.zeros_like(layer.weight)
    for j in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            weights[j, i] = modulation[i] * layer.scale * layer.weight[j, i]
        if layer.demodulate:
            weights[j] = weights[j] / (weights[j].square().sum() + 1e-8).sqrt()
    return weights


@pytest.mark.parametrize("kind", [{}, {"demodulate": False, "kernel": 1}])
def test_each_image_has_weights_of_its_own(kind):
    layer, x, styles = layer_and_inputs(**kind)
    padding = layer.weight.shape[2] // 2
    images = [
        F.conv2d(image[None], weights_of(layer, style), padding=padding) for image, style in zip(x, styles, strict=True)
    ]
    assert_close(layer(x, styles), torch.cat(images))


def test_it_equals_a_grouped_convolution():
    layer, x, styles = layer_and_inputs()
    weights = torch.cat([weights_of(layer, style) for style in styles])
    grouped = F.conv2d(x.reshape(1, -1, 6, 8), weights, padding=1, groups=3)
    assert_close(layer(x, styles), grouped.view(3, 6, 6, 8))


def test_doubling_equals_zeros_between_the_values_then_convolution_and_filter():
    layer, x, styles = layer_and_inputs(up=True)
    images = []
    for image, style in zip(x, styles, strict=True):
        spread = torch.zeros(1, 4, 13, 17)
        spread[:, :, 1::2, 1::2] = image  # with a border of zeros on all sides
        flipped = weights_of(layer, style).flip(2, 3)  # of a transposed convolution
        images.append(F.conv2d(spread, flipped, padding=1))
    convolved = torch.cat(images)
    taps = [0.25, 0.75, 0.75, 0.25]
    filtered = upfirdn(taps, upfirdn(taps, convolved.detach().numpy(), axis=2), axis=3)[:, :, 2:-2, 2:-2]
    assert_close(layer(x, styles), torch.from_numpy(filtered).float())


def test_demodulated_maps_have_unit_variance_for_any_style():
    torch.manual_seed(0)
    layer = ModulatedConv2d(64, 64, 3, style_dim=5)
    maps = layer(torch.randn(2, 64, 32, 32), torch.tensor([[0.1] * 5, [30.0] * 5]))
    assert_close(maps[:, :, 1:-1, 1:-1].var((1, 2, 3)), torch.ones(2), rtol=0.1, atol=0)


def test_at_bfloat16_the_factors_are_float32():
    layer, x, styles = layer_and_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        coarse = layer(x, 1000 * styles)
    assert coarse.dtype == torch.bfloat16
    assert_close(coarse.float(), layer(x, 1000 * styles), rtol=0.05, atol=0.05)
