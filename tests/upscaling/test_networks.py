"""The networks of upscalers: published sizes, where they begin, and the condition of latent super-resolution."""

import pytest
import torch

from histoforge.training.parameters import count_parameters
from histoforge.upscaling.config import UpscalerConfig
from histoforge.upscaling.latent_sr import LatentSrNetwork
from histoforge.upscaling.pairs import enlarge_bicubic
from histoforge.upscaling.patch_critic import SMALLEST_SIDE, PatchCritic
from histoforge.upscaling.rrdb import RrdbNet


def test_the_network_of_esrgan_has_its_published_number_of_weights():
    with torch.device("meta"):
        assert count_parameters(RrdbNet(4)) == 16_697_987


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_it_begins_with_bicubic_interpolation(scale):
    small = torch.rand(2, 3, 8, 6)
    network = RrdbNet(scale, channels=4, blocks=1, growth=4)
    torch.testing.assert_close(network(small), enlarge_bicubic(small, scale))


def test_the_critic_judges_patches_of_70_px():
    critic = PatchCritic(4)
    images = torch.rand(1, 3, 128, 128, requires_grad=True)
    scores = critic(images)
    assert scores.shape == (1, 1, 14, 14)
    (gradient,) = torch.autograd.grad(scores[0, 0, 7, 7], images)
    touched = gradient[0].abs().sum(0) > 0
    assert (int(touched.any(0).sum()), int(touched.any(1).sum())) == (70, 70)
    assert critic(torch.rand(1, 3, SMALLEST_SIDE, SMALLEST_SIDE)).numel() == 1


def network(scale, factor):
    settings = {"scale": scale, "channels": 8, "levels": 2, "level_blocks": 1}
    return LatentSrNetwork(UpscalerConfig.make(settings), latent_channels=3, factor=factor)


@pytest.mark.parametrize(("scale", "factor", "channels"), [(4, 4, 3), (2, 4, 12), (4, 2, 3)])
def test_the_small_image_is_given_at_the_size_of_the_latents(scale, factor, channels):
    built, small = network(scale, factor), torch.rand(2, 3, 32 // scale, 48 // scale)
    condition = built.condition(small)
    assert condition.shape == (2, channels, 32 // factor, 48 // factor)
    if factor >= scale:  # nothing of the image is lost
        torch.testing.assert_close(condition.sum(), small.sum())
    given = torch.cat([torch.randn(2, 3, 32 // factor, 48 // factor), condition], 1)
    assert built(given, torch.tensor([0, 999])).shape == (2, 3, 32 // factor, 48 // factor)
