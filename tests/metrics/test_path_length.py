"""Path lengths against closed forms, and against torchmetrics' own."""

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import perceptual_path_length as reference_ppl

from histoforge.metrics.extract import NamedExtractor
from histoforge.metrics.path_length import (
    FeatureDistance,
    lerp,
    path_length,
    path_lengths,
    perceptual_path_length,
    slerp,
)

PAIRS, LATENT, SIDE = 40, 12, 8


class Squared:
    """Squared Euclidean distance of pixels, as simple as a distance can be."""

    name = "squared pixels"

    def between(self, first, second):
        return (first - second).flatten(1).square().sum(1)


@pytest.fixture(scope="module")
def linear():
    """A generator that is a matrix, and what it does to the difference of two points."""
    matrix = torch.randn(LATENT, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(1)) / 10

    def decode(latents, labels):
        return (latents @ matrix).view(-1, 3, SIDE, SIDE) * (1 + labels.view(-1, 1, 1, 1))

    return decode, matrix


@pytest.fixture(scope="module")
def ends():
    rng = torch.Generator().manual_seed(2)
    return torch.randn(PAIRS, LATENT, generator=rng), torch.randn(PAIRS, LATENT, generator=rng)


def test_the_path_of_a_linear_generator_is_its_ends_distance_divided_by_the_steps(linear, ends):
    decode, matrix = linear
    labels = torch.arange(PAIRS) % 2
    whole = ((ends[1] - ends[0]) @ matrix).square().sum(1) * (1 + labels) ** 2
    for steps in (1, 4, 10):
        result = path_length(decode, *ends, labels, steps, Squared())
        torch.testing.assert_close(result, whole / steps, rtol=1e-4, atol=1e-5)


def test_the_ppl_of_a_linear_generator_is_its_ends_distance_whatever_the_step(linear, ends):
    decode, matrix = linear
    labels = torch.zeros(PAIRS, dtype=torch.int64)
    whole = ((ends[1] - ends[0]) @ matrix).square().sum(1)
    positions = torch.rand(PAIRS, generator=torch.Generator().manual_seed(3))
    for epsilon in (1e-4, 1e-2):
        result = perceptual_path_length(decode, *ends, labels, positions, Squared(), "lerp", epsilon)
        torch.testing.assert_close(result, whole, rtol=5e-3, atol=0)


def test_the_ppl_is_that_of_torchmetrics_at_the_start_of_the_path(linear, ends):
    decode, _ = linear
    labels = torch.zeros(PAIRS, dtype=torch.int64)

    class Network(nn.Module):
        calls = 0

        def sample(self, _):
            Network.calls += 1
            return ends[Network.calls - 1]

        def forward(self, latents):
            return (decode(latents, torch.zeros(len(latents))) + 1) * 127.5

    class Pixels(nn.Module):
        def forward(self, first, second):
            return Squared().between(first, second)

    for interpolation, method in (("lerp", "lerp"), ("slerp", "slerp_any")):
        Network.calls = 0
        mean, std, _ = reference_ppl(
            Network(),
            PAIRS,
            epsilon=1e-2,
            interpolation_method=method,
            resize=None,
            sim_net=Pixels(),
            lower_discard=None,
            upper_discard=None,
        )
        result = perceptual_path_length(decode, *ends, labels, torch.zeros(PAIRS), Squared(), interpolation, 1e-2)
        torch.testing.assert_close(result.mean(), mean, rtol=1e-3, atol=0)
        torch.testing.assert_close(result.std(), std, rtol=1e-3, atol=0)


def test_slerp_keeps_to_the_sphere_and_to_its_ends(ends):
    unit = [nn.functional.normalize(end, dim=1) for end in ends]
    for position in (0.0, 0.3, 1.0):
        result = slerp(*unit, torch.full((PAIRS,), position))
        torch.testing.assert_close(result.norm(dim=1), torch.ones(PAIRS))
        angle = torch.acos((unit[0] * unit[1]).sum(1))
        torch.testing.assert_close(
            torch.acos((unit[0] * result).sum(1).clamp(-1, 1)), position * angle, atol=1e-3, rtol=0
        )
    same = slerp(ends[0], ends[0], torch.full((PAIRS,), 0.4))
    torch.testing.assert_close(same, ends[0])
    torch.testing.assert_close(lerp(*ends, torch.full((PAIRS,), 0.5)), (ends[0] + ends[1]) / 2)


def test_all_is_computed_in_float32_under_autocast_too(linear, ends):
    seen = []

    def decode(latents, labels):
        seen.append((latents @ torch.ones(LATENT, 3)).dtype)
        return linear[0](latents, labels)

    with torch.autocast("cpu", torch.bfloat16):
        path_length(decode, *ends, torch.zeros(PAIRS, dtype=torch.int64), 2, Squared())
    assert set(seen) == {torch.float32}


def test_both_numbers_come_with_what_they_were_measured_with(linear, ends):
    decode, _ = linear
    extractor = NamedExtractor("first row", lambda images: images[:, :, 0].flatten(1))
    distance = FeatureDistance(extractor)
    labels, positions = torch.zeros(PAIRS, dtype=torch.int64), torch.full((PAIRS,), 0.5)
    result = path_lengths(decode, ends, labels, distance, steps=3, positions=positions, batch_size=7)
    whole = path_lengths(decode, ends, labels, distance, steps=3, positions=positions, batch_size=PAIRS)
    assert result.distance == "squared distance of unit features, first row"
    assert (result.pairs, result.steps, result.interpolation, result.epsilon) == (PAIRS, 3, "slerp", 1e-4)
    assert result.path_length == pytest.approx(whole.path_length, rel=1e-5)
    assert result.ppl == pytest.approx(whole.ppl, rel=1e-2)


def test_the_feature_distance_does_not_see_the_scale_of_features():
    images = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4)) * 2 - 1
    distance = FeatureDistance(NamedExtractor("pixels", lambda batch: batch.flatten(1)))
    torch.testing.assert_close(distance.between(images, images / 3), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(distance.between(images, -images), torch.full((5,), 4.0))
