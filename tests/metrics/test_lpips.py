"""LPIPS from given weights: the number of torchmetrics' own network, and weights that are not VGG-16's refused."""

import pytest
import torch
import torchvision
from random_vgg import random_vgg
from torchmetrics.functional.image.lpips import _LPIPS

from histoforge.core.errors import ModelError
from histoforge.metrics.lpips import LpipsDistance, check_size


@pytest.fixture(scope="module")
def weights():
    return random_vgg()


def test_it_is_the_network_of_torchmetrics_with_these_weights(weights, monkeypatch):
    distance = LpipsDistance(weights, "0123456789ab", "vgg16.pth")
    vgg = torchvision.models.vgg16()
    vgg.load_state_dict({**vgg.state_dict(), **weights})
    monkeypatch.setattr(torchvision.models, "vgg16", lambda weights: vgg)
    reference = _LPIPS(pretrained=True, net="vgg")
    rng = torch.Generator().manual_seed(1)
    first, second = (torch.rand(3, 3, 32, 48, generator=rng) * 2 - 1 for _ in range(2))
    torch.testing.assert_close(distance.between(first, second), reference(first, second).flatten())
    torch.testing.assert_close(distance.between(first, first), torch.zeros(3))
    assert distance.name == "LPIPS-VGG (backbone 01234567)"


def test_other_weights_are_one_sentence(weights):
    with pytest.raises(
        ModelError, match=r"x\.pth are not those of torchvision's VGG-16 \('features.28.weight' is miss"
    ):
        LpipsDistance({k: v for k, v in weights.items() if k != "features.28.weight"}, "ab", "x.pth")
    with pytest.raises(ModelError, match=r"'features.0.weight' has the shape \[64, 1, 3, 3\]"):
        LpipsDistance({**weights, "features.0.weight": weights["features.0.weight"][:, :1]}, "ab", "x.pth")


def test_patches_that_are_too_small_are_one_sentence():
    with pytest.raises(ModelError, match="at least 16 px, not 8x24: leave lpips_weights out"):
        check_size((8, 24))
