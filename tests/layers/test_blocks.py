import pytest
import torch
from torch.nn.utils import parametrize

from histoforge.layers.down_block import DownBlock
from histoforge.layers.residual_block import ResidualBlock
from histoforge.layers.up_block import UpBlock

LABELS = torch.tensor([0, 1])


def test_an_up_block_doubles_a_map_that_is_not_square():
    assert UpBlock(4, 6, classes=2)(torch.randn(2, 4, 3, 5), LABELS).shape == (2, 6, 6, 10)


def test_an_up_block_of_an_even_map_stays_even_inside():
    block = UpBlock(1, 1, classes=2).eval()
    torch.nn.init.zeros_(block.conv.weight)
    block.conv.weight.data[0, 0, 1, 1] = 1.0
    out = block(torch.full((2, 1, 3, 3), 0.5), LABELS)
    torch.testing.assert_close(out, torch.full((2, 1, 6, 6), 0.5), rtol=1e-4, atol=0)


def test_a_residual_block_adds_to_its_input():
    block = ResidualBlock(4, classes=2)
    x = torch.randn(2, 4, 3, 5)
    torch.nn.init.zeros_(block.norm2.affine.gamma)
    torch.testing.assert_close(block(x, LABELS), x)


@pytest.mark.parametrize("norm", ["cbn", "cln", "none"])
def test_a_down_block_halves_a_map(norm):
    assert DownBlock(3, 6, 2, norm, sn=False)(torch.randn(2, 3, 8, 4), LABELS).shape == (2, 6, 4, 2)


def test_spectral_normalisation_of_a_down_block_is_a_choice():
    assert not parametrize.is_parametrized(DownBlock(3, 6, 2, "cln", sn=False).conv)
    assert parametrize.is_parametrized(DownBlock(3, 6, 2, "cln", sn=True).conv)
