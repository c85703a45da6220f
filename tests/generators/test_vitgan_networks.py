"""Networks of the unified ViT cGAN: sizes, conditions, the two heads, and the truncated noise."""

import pytest
import torch
from scipy.stats import kstest, truncnorm
from torch.testing import assert_close

from histoforge.classifiers.network import Classifier
from histoforge.core.errors import SettingsError
from histoforge.generators.methods import METHODS
from histoforge.generators.vitgan.discriminator import VitganDiscriminator, classifier_info
from histoforge.generators.vitgan.generator import VitganGenerator
from histoforge.generators.vitgan.geometry import backbone, base_size
from histoforge.generators.vitgan.noise import truncated
from histoforge.training.model_files import ModelInfo
from histoforge.training.parameters import count_parameters

TINY = {"z_dim": 20, "generator_channels": 128, "heads": 2, "encoders": 1, "discriminator_width": 0.1}


def make(method="vitgan", **values):
    return METHODS[method].config({**TINY, **values})


def generator(config, size=(32, 32), classes=3):
    torch.manual_seed(0)
    return VitganGenerator(config, base_size(config, size, "vitgan"), classes)


def discriminator(config, size=(32, 32), classes=("a", "b", "c")):
    torch.manual_seed(0)
    info = ModelInfo(
        kind="generator", method="vitgan", config=config.model_dump(), classes=list(classes), patch_size=size
    )
    return VitganDiscriminator(Classifier(classifier_info(config, info)))


@pytest.mark.parametrize("size", [(32, 32), (32, 64), (64, 64), (48, 80)])
def test_draws_and_judges_square_and_other_sizes(size):
    config = make()
    images = generator(config, size)(torch.randn(2, 20), torch.tensor([0, 2]))
    assert images.shape == (2, 3, *size)
    assert images.abs().max() <= 1
    scores, logits = discriminator(config, size)(images)
    assert (scores.shape, logits.shape, scores.dtype) == ((2,), (2, 3), torch.float32)


@pytest.mark.parametrize("size", [(96, 96), (128, 128)])
def test_has_maps_and_windows_for_larger_patches(size):
    stages = generator(make(), size).stages
    windows = [stage.encoders[0].attention.window for stage in stages]
    side = size[0]
    third = {96: (24, 24), 128: (32, 32)}[side]
    assert windows == [None, None, third, (16, 16)]
    assert [stage.positions.shape[1] for stage in stages] == [(side >> more) ** 2 for more in (3, 2, 1, 0)]


def test_has_as_many_weights_as_the_papers_sizes_give():
    """A2-8: about 54 M at 96 px with 1024 channels, which stage 1 has most of."""
    config = METHODS["vitgan"].config({})
    with torch.device("meta"):
        count = count_parameters(VitganGenerator(config, base_size(config, (96, 96), "vitgan"), 2))
    assert count == pytest.approx(54e6, rel=0.15)


@pytest.mark.parametrize(
    ("size", "values", "near"),
    [
        ((37, 37), {}, "32x32 or 48x48"),
        ((96, 100), {}, "96x96 or 96x112"),
        ((48, 48), {"discriminator_step": 4}, "32x32 or 64x64"),
        ((16, 16), {}, "32x32"),
    ],
)
def test_a_size_that_does_not_divide_is_refused_with_the_nearest_ones(size, values, near):
    with pytest.raises(SettingsError, match=f"vitgan .*cannot make patches of .*: preprocess to {near} px"):
        base_size(make(**values), size, "vitgan")


@pytest.mark.parametrize(("size", "name"), [((64, 96), "multiscale_vit_4"), ((48, 64), "multiscale_vit_2")])
def test_step_0_takes_the_larger_tokens_where_they_divide(size, name):
    assert backbone(make(discriminator_step=0), size) == name


def test_noise_that_does_not_divide_is_refused():
    with pytest.raises(SettingsError, match="'z_dim' is 128, .*: use 125 or 130"):
        make(z_dim=128)
    assert make("medvitgan", z_dim=128).z_dim == 128


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(SettingsError, match="'generator_channels' is 200, .*a multiple of 128, such as 256"):
        make(generator_channels=200)


def test_a_threshold_that_nothing_can_pass_is_refused():
    with pytest.raises(SettingsError, match="confidence.*less than 1"):
        make(confidence=1.0)


def test_each_part_of_the_noise_and_the_class_reach_their_stage():
    network = generator(make())
    for stage in network.stages:
        torch.nn.init.normal_(stage.projection.affine.weight)
    z, labels = torch.randn(1, 20), torch.tensor([0])
    before = network(z, labels)
    for part in range(5):
        moved = z.clone()
        moved[:, 4 * part : 4 * part + 4] += 1
        assert (network(moved, labels) - before).abs().max() > 1e-6
    assert (network(z, torch.tensor([1])) - before).abs().max() > 1e-6


def test_two_last_channels_give_a_plane_of_colours():
    """Normalised, they would give two colours."""
    network = generator(make())
    torch.nn.init.orthogonal_(network.to_rgb.weight, gain=0.1)
    images = network(torch.randn(4, 20), torch.tensor([0, 1, 2, 0]))
    colours = images.atanh().permute(0, 2, 3, 1).flatten(0, 2)
    first, second, _ = torch.linalg.svdvals(colours - colours.mean(0))
    assert second > 0.2 * first


@pytest.mark.parametrize("channels", [128, 512])
def test_images_start_near_grey(channels):
    images = generator(make(generator_channels=channels))(torch.randn(4, 20), torch.tensor([0, 1, 2, 0]))
    assert 0.05 < images.std() < 0.4


def test_without_class_projection_the_stages_have_plain_norms():
    network = generator(make("medvitgan"))
    assert {type(stage.projection) for stage in network.stages} == {torch.nn.LayerNorm}
    assert network.embed.in_features == 20 + 3


def test_both_heads_see_all_tokens():
    """A2-10: a change of the source token changes the class logits, and the other way round."""
    network, images = discriminator(make()), torch.randn(2, 3, 32, 32)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    scores, logits = network(images)
    tokens = network.classifier.backbone.tokens
    change, before = torch.randn(tokens.shape[2]), tokens.detach().clone()
    tokens.data[:, 0] += change
    assert (network(images)[0] - scores).abs().min() > 1e-5
    tokens.data.copy_(before)
    tokens.data[:, 1] += change
    assert (network(images)[1] - logits).abs().max() > 1e-5


def test_the_source_head_alone_gives_the_same_scores():
    network, images = discriminator(make()), torch.randn(2, 3, 32, 32)
    assert_close(network.source(images), network(images)[0])


@pytest.mark.parametrize("bound", [0.7, 2.0])
def test_truncated_noise_has_the_truncated_normal_distribution(bound):
    noise = truncated(torch.randn(20000, generator=torch.Generator().manual_seed(0)), bound)
    assert noise.abs().max() <= bound
    assert kstest(noise.numpy(), truncnorm(-bound, bound).cdf).pvalue > 0.01


def test_a_bound_of_0_leaves_the_noise_alone():
    noise = torch.randn(5)
    assert truncated(noise, 0.0) is noise


@pytest.mark.parametrize(("width", "heads", "channels"), [(0.1, 1, 10), (0.25, 1, 24), (0.5, 2, 48), (1.0, 4, 96)])
def test_a_narrower_discriminator_has_fewer_heads_with_as_many_channels(width, heads, channels):
    network = discriminator(make(discriminator_width=width))
    first, last = network.classifier.backbone.stages[0].encoder.attention, network.source_encoder.attention
    assert (first.heads, last.heads) == (heads, heads)
    assert (first.out.in_features, last.out.in_features) == (channels, 4 * channels)
