"""The deviation of a batch against loops over groups, channels and positions."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from histoforge.layers.minibatch_std import MinibatchStd


@pytest.mark.parametrize(("batch", "group", "size"), [(8, 4, 4), (6, 4, 3), (5, 4, 1), (2, 4, 2), (4, 1, 1)])
def test_each_group_gets_its_mean_deviation(batch, group, size):
    x = torch.randn(batch, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    result = MinibatchStd(group)(x)
    assert_close(result[:, :3], x)
    for row in range(batch):
        members = x[row // size * size :][:size].numpy()
        deviations = [members[:, c, i, j].std() for c in range(3) for i in range(2) for j in range(4)]
        expected = torch.full((2, 4), float(np.mean(deviations)))
        assert_close(result[row, 3], expected, rtol=1e-4, atol=2e-4)


def test_equal_images_have_a_deviation_near_zero_and_a_finite_gradient():
    x = torch.ones(4, 2, 2, 2, requires_grad=True)
    deviation = MinibatchStd()(x)[:, 2]
    assert deviation.max() < 1e-3
    deviation.sum().backward()
    assert torch.isfinite(x.grad).all()
