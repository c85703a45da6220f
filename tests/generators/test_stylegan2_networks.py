"""Networks of StyleGAN2: sizes, conditions, styles, noise and truncation."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from histoforge.core.errors import SettingsError
from histoforge.generators.loading import LatentGenerator
from histoforge.generators.methods import METHODS
from histoforge.generators.stylegan2.discriminator import Stylegan2Discriminator
from histoforge.generators.stylegan2.generator import Stylegan2Generator
from histoforge.generators.stylegan2.geometry import doublings
from histoforge.generators.stylegan2.mapping import MappingNetwork
from histoforge.generators.stylegan2.trained import TrainedStylegan2
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters

TINY = {"z_dim": 6, "style_dim": 8, "mapping_layers": 2, "channel_base": 128, "channel_max": 12}
CLASSES = ["a", "b", "c"]


def make(**values):
    return METHODS["stylegan2"].config({**TINY, "precision": "float32", **values})


def build(network, config=None, size=(16, 16), classes=3):
    torch.manual_seed(0)
    return network(config or make(), size, doublings(size, "stylegan2"), classes)


def draw(network, labels, seed=0):
    rng = torch.Generator().manual_seed(seed)
    z, noise = torch.randn(len(labels), 6, generator=rng), torch.randn(len(labels), network.noise_dim, generator=rng)
    return network.synthesise(network.styles(z, labels), noise)


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (24, 32), (48, 48)])
def test_draws_and_scores_the_sizes_that_it_accepts(size):
    labels = torch.tensor([0, 2])
    images = draw(build(Stylegan2Generator, size=size), labels)
    assert images.shape == (2, 3, *size)
    scores = build(Stylegan2Discriminator, size=size)(images, labels)
    assert (scores.shape, scores.dtype) == ((2,), torch.float32)


def test_a_size_that_cannot_be_doubled_to_is_refused_with_the_nearest_ones():
    with pytest.raises(SettingsError, match=r"stylegan2 cannot make patches of 100x100 px.* 96x96 or 112x112 px"):
        METHODS["stylegan2"].check_size(make(), (100, 100))


def test_has_as_many_weights_as_the_authors_networks_for_1024_px():
    """Without classes, the authors' configuration F has 30,370,060 and 29,012,513."""
    config = METHODS["stylegan2"].config({"channel_base": 32768})
    with torch.device("meta"):
        generator = Stylegan2Generator(config, (1024, 1024), 8, 1)
        discriminator = Stylegan2Discriminator(config, (1024, 1024), 8, 1)
    embedding = 512 + 512 * 512  # the class's vector, and the weights of the mapping's first layer for it
    assert count_parameters(generator) - embedding == 30_370_060
    projection = count_parameters(discriminator.mapping) + 511 * 513  # the authors' last layer has one output
    assert count_parameters(discriminator) - projection == 29_012_513


def test_the_mapping_concatenates_noise_and_class_after_scaling_both():
    network, z = MappingNetwork(6, 3, 8, layers=1), torch.randn(2, 6)
    torch.nn.init.normal_(network.embedding, std=5.0)
    labels = torch.tensor([2, 0])
    both = torch.cat([F.normalize(z) * math.sqrt(6), F.normalize(network.embedding[labels]) * math.sqrt(8)], dim=1)
    assert_close(network(labels, z), F.leaky_relu(network.layers[0](both), 0.2))
    assert_close(network(labels, 10 * z), network(labels, z))


def test_a_style_changes_its_layers_only():
    """The styles of the last block leave the first blocks as they are, whose maps are larger than a pixel."""
    network, styles = build(Stylegan2Generator), torch.randn(1, 6, 8)
    noise = torch.zeros(1, network.noise_dim)
    before = network.synthesise(styles, noise)
    for layer in range(6):
        moved = styles.clone()
        moved[:, layer] += 1
        assert (network.synthesise(moved, noise) - before).abs().max() > 1e-4
    assert (network.layers, network.noise_dim) == (6, 16 + 2 * 64 + 2 * 256)


def test_noise_enters_every_layer_with_a_strength_that_starts_at_zero():
    network, labels = build(Stylegan2Generator), torch.tensor([1])
    styles = network.styles(torch.randn(1, 6), labels)
    silent = network.synthesise(styles, torch.zeros(1, network.noise_dim))
    noise = torch.randn(1, network.noise_dim)
    assert torch.equal(network.synthesise(styles, noise), silent)
    for name, parameter in network.named_parameters():
        if name.endswith("strength"):
            parameter.data.fill_(1.0)
            assert (network.synthesise(styles, noise) - silent).abs().max() > 1e-3
            parameter.data.zero_()


def test_the_score_is_a_projection_on_the_vector_of_the_class():
    """The scores of one image for 20 classes are a linear function of the classes' 12 values."""
    network = build(Stylegan2Discriminator, make(minibatch_group=1), classes=20)
    scores = network(torch.randn(1, 3, 16, 16).expand(20, -1, -1, -1), torch.arange(20))
    vectors = network.mapping(torch.arange(20))
    solution = torch.linalg.lstsq(vectors, scores[:, None]).solution
    assert_close(vectors @ solution, scores[:, None], rtol=1e-3, atol=1e-4)
    assert scores.std() > 1e-2


def test_the_images_of_a_group_enter_each_others_scores():
    network, images = build(Stylegan2Discriminator), torch.randn(8, 3, 16, 16)
    labels = torch.zeros(8, dtype=torch.int64)
    before = network(images, labels)
    changed = images.clone()
    changed[1] += 1
    moved = (network(changed, labels) - before).abs() > 1e-6
    assert moved.tolist() == [True] * 4 + [False] * 4


def trained(network, **values):
    config = make(**values)
    info = ModelInfo(
        kind="generator", method="stylegan2", config=config.model_dump(), classes=CLASSES, patch_size=(16, 16)
    )
    return TrainedStylegan2(info, network, torch.device("cpu"))


def test_truncation_moves_styles_towards_the_mean_of_their_class():
    network, labels = build(Stylegan2Generator), torch.tensor([0, 2, 2])
    z = torch.randn(4096, 6, generator=torch.Generator().manual_seed(3))
    many = network.mapping(torch.full((4096,), 2), z).mean(0)
    means = network.mean_styles(labels)
    assert_close(means[1, 0], many, rtol=0, atol=0.1)
    assert torch.equal(means[1], means[2])
    assert (means[0] - means[1]).abs().max() > 0.1
    whole, half, none = (trained(network, truncation_psi=psi) for psi in (1.0, 0.5, 0.0))
    drawn = [generator.sample(labels, torch.Generator().manual_seed(1)) for generator in (whole, half, none)]
    assert torch.equal(drawn[2][1], drawn[2][2])
    assert not torch.equal(drawn[0][1], drawn[0][2])
    assert (drawn[1] - drawn[2]).abs().mean() < (drawn[0] - drawn[2]).abs().mean()


def test_a_point_gives_the_same_patch_in_any_batch_and_at_any_precision():
    network = build(Stylegan2Generator)
    for name, parameter in network.named_parameters():
        if name.endswith("strength"):
            parameter.data.fill_(0.3)
    exact, coarse = trained(network), trained(network, precision="bfloat16")
    assert isinstance(exact, LatentGenerator)
    labels = torch.tensor([0, 1, 0])
    points = exact.latents(labels, torch.Generator().manual_seed(5))
    whole = exact.decode(points, labels)
    assert_close(exact.decode(points[1:2], labels[1:2])[0], whole[1], atol=1e-4, rtol=1e-3)
    assert torch.equal(coarse.decode(points, labels), whole)
    assert (whole[0] - exact.decode(points, 1 - labels)[0]).abs().max() > 1e-3
    same = exact.latents(labels[:1], torch.Generator().manual_seed(5)).expand(2, -1)
    assert_close(*exact.decode(same, torch.tensor([0, 0])))
    drawn = exact.sample(torch.tensor([0, 0]), torch.Generator().manual_seed(5))
    assert torch.equal(drawn, exact.sample(torch.tensor([0, 0]), torch.Generator().manual_seed(5)))
    assert drawn.abs().max() <= 1
