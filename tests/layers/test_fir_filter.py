"""The low-pass filter against scipy's `upfirdn`, which filters and resamples one axis at a time."""

import numpy as np
import pytest
import torch
from scipy.signal import upfirdn
from torch.testing import assert_close

from histoforge.layers.fir_filter import downsample, smooth, upsample

TAPS = np.array([1, 3, 3, 1]) / 8
MAP = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def resampled(x: torch.Tensor, skip: int, up: int = 1, down: int = 1) -> torch.Tensor:
    """Resample both axes of a map, then leave out the first `skip` values and as many at the end."""
    values = x.double().numpy()
    for axis in (2, 3):
        length = values.shape[axis] * up // down
        whole = upfirdn(up * TAPS, values, up, 1, axis=axis)  # of length + 3 values
        values = np.take(whole, range(skip, whole.shape[axis] - skip), axis=axis)
        values = np.take(values, range(0, length * down, down), axis=axis)
    return torch.from_numpy(values).float()


def test_smoothing():
    whole = torch.from_numpy(upfirdn(TAPS, upfirdn(TAPS, MAP.numpy(), axis=2), axis=3)).float()
    assert_close(smooth(MAP, padding=3), whole)
    assert_close(smooth(MAP, padding=2), whole[:, :, 1:-1, 1:-1])


def test_halving():
    assert_close(downsample(MAP), resampled(MAP, 2, down=2))


def test_doubling():
    assert_close(upsample(MAP), resampled(MAP, 1, up=2)[:, :, : 2 * 8, : 2 * 12])


def test_even_maps_stay_even_inside():
    even = torch.full((1, 1, 8, 8), 0.7)
    for result in (smooth(even, padding=2), downsample(even), upsample(even)):
        inner = result[:, :, 2:-2, 2:-2]
        assert_close(inner, torch.full_like(inner, 0.7))


def test_halving_is_the_adjoint_of_doubling():
    """<down(x), y> = <x, up(y)> / 4, so that neither moves the map by part of a pixel."""
    y = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    assert_close((downsample(MAP) * y).sum(), (MAP * upsample(y)).sum() / 4, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("resample", [downsample, upsample])
def test_it_computes_in_float32_in_training_at_bfloat16(resample):
    x = MAP.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        result = resample(x)
    assert torch.equal(result, resample(x.float()).bfloat16())
