"""DCGAN's networks: sizes, initial weights, spectral norm, and the published architecture."""

import pytest
import torch

from histoforge.core.errors import SettingsError
from histoforge.generators.dcgan.config import GanConfig, SnganConfig
from histoforge.generators.dcgan.geometry import doublings
from histoforge.generators.dcgan.network import DcganDiscriminator, DcganGenerator

SMALL = GanConfig(z_dim=5, generator_maps=8, discriminator_maps=8)


@pytest.mark.parametrize(
    ("size", "base"),
    [
        ((16, 16), (4, 4)),
        ((32, 32), (4, 4)),
        ((48, 48), (6, 6)),
        ((64, 64), (4, 4)),
        ((96, 96), (6, 6)),
        ((128, 128), (4, 4)),
        ((224, 224), (7, 7)),
        ((256, 128), (8, 4)),
        ((64, 96), (4, 6)),
    ],
)
def test_supported_patch_sizes(size, base):
    steps = doublings(size, "dcgan")
    generator = DcganGenerator(SMALL, size, steps)
    assert generator.base[:2] == base
    images = generator(torch.randn(2, 5))
    assert images.shape == (2, 3, *size)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    assert DcganDiscriminator(SMALL, size, steps)(images).shape == (2,)


@pytest.mark.parametrize("size", [(100, 100), (6, 6), (33, 33), (64, 72), (250, 250)])
def test_an_unsupported_size_is_refused_with_supported_ones(size):
    with pytest.raises(SettingsError, match=f"lsgan cannot make patches of {size[0]}x{size[1]} px") as error:
        doublings(size, "lsgan")
    for text in str(error.value).split("preprocess to ")[1].split(" px")[0].split(" or "):
        named = tuple(map(int, text.split("x")))
        assert DcganGenerator(SMALL, named, doublings(named, "lsgan")).base[0] >= 4


def test_weights_begin_as_published():
    torch.manual_seed(0)
    generator, discriminator = DcganGenerator(GanConfig(), (64, 64), 4), DcganDiscriminator(GanConfig(), (64, 64), 4)
    for network in (generator, discriminator):
        for name, weight in network.state_dict().items():
            if "running" in name or "tracked" in name:
                continue
            if "norms" not in name:
                assert abs(weight.mean()) < 0.002, name
                assert weight.std() == pytest.approx(0.02, rel=0.05), name
            elif name.endswith("weight"):
                assert abs(weight.mean() - 1) < 0.01, name
                assert weight.std() == pytest.approx(0.02, rel=0.3), name
            else:
                assert not weight.any(), name


def test_a_score_is_that_of_a_convolution_over_the_last_map():
    """DCGAN's last layer is a convolution as large as the map; here it is written as a matrix product."""
    discriminator = DcganDiscriminator(SMALL, (16, 16), 2).eval()
    images = torch.randn(3, 3, 16, 16)
    seen = []
    discriminator.score.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    scores = discriminator(images)
    maps = seen[0].unflatten(1, (4, 4, 16)).permute(0, 3, 1, 2)
    kernel = discriminator.score.weight.unflatten(1, (4, 4, 16)).permute(0, 3, 1, 2)
    torch.testing.assert_close(scores, torch.conv2d(maps, kernel).flatten())


@pytest.mark.parametrize(("norm", "couples"), [("batch", True), ("layer", False), ("none", False)])
def test_only_batch_normalisation_couples_the_patches_of_a_batch(norm, couples):
    torch.manual_seed(0)
    config = GanConfig(z_dim=5, discriminator_maps=8, discriminator_norm=norm)
    discriminator = DcganDiscriminator(config, (16, 16), 2)
    images = torch.randn(4, 3, 16, 16)
    alone, beside = discriminator(images[:2]), discriminator(images)[:2]
    assert discriminator.couples_patches == couples
    assert torch.allclose(alone, beside, atol=1e-5) != couples


def test_spectral_normalisation_bounds_every_layer():
    torch.manual_seed(0)
    discriminator = DcganDiscriminator(SnganConfig(discriminator_maps=8), (16, 16), 2, sn=True)
    for _ in range(20):
        discriminator(torch.randn(2, 3, 16, 16))
    discriminator.eval()
    for layer in (*discriminator.downs, discriminator.score):
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert largest == pytest.approx(1, abs=0.02)
