"""The check that an extractor ranks corrupted patches sanely, with sane and with planted bad extractors."""

import numpy as np
import pytest
import torch
from torch import Tensor

from histoforge.metrics.corruptions import blurred, coloured_noise, pure_noise, shuffled_pixels, with_shifted_colours
from histoforge.metrics.extract import NamedExtractor, extract_features
from histoforge.metrics.extractor_check import MIN_PATCHES, check_extractor, check_extractors
from histoforge.metrics.pixel_statistics import PixelStatistics, colour_statistics, pixel_statistics, power_spectrum
from histoforge.metrics.random_features import RandomFeatures
from histoforge.phantom import draw_patches

REAL = draw_patches(60, (48, 48), mpp=1.0, patients=4).images


def blind_to_noise(images: Tensor) -> Tensor:
    """Return random features, except for noise alone, which gets the mean features of real patches."""
    roughness = (images[..., 1:] - images[..., :-1]).std((1, 2, 3))[:, None]
    typical = torch.from_numpy(extract_features(RandomFeatures(), REAL)).mean(0)
    return torch.where(roughness < 0.7, RandomFeatures().features(images), typical)


@pytest.mark.parametrize("extractor", [PixelStatistics(REAL), RandomFeatures()], ids=lambda each: each.name)
def test_the_spaces_without_training_pass(extractor):
    check = check_extractor(extractor, REAL)
    assert check.passed, check.text
    assert check.patches == 60
    assert check.text == ""


def test_a_constant_extractor_fails():
    check = check_extractor(NamedExtractor("constant", lambda images: torch.ones(len(images), 4)), REAL)
    assert not check.passed
    assert "constant does not tell real patches from strong noise, strong blur" in check.text


def test_an_extractor_that_prefers_noise_to_other_colours_fails():
    check = check_extractor(NamedExtractor("saturating", blind_to_noise), REAL)
    assert "puts noise alone nearer to real patches than weak noise" in check.text


def test_an_extractor_whose_distances_shrink_fails():
    def high_frequencies(images: Tensor) -> Tensor:
        edges = (images[..., 1:] - images[..., :-1]).square().mean((1, 2, 3))[:, None]
        return torch.exp(-((edges - 0.2) ** 2) / 0.01)

    check = check_extractor(NamedExtractor("narrow", high_frequencies), REAL)
    assert "nearer to real patches than the weak form" in check.text


def test_too_few_patches_are_not_checked():
    assert check_extractor(RandomFeatures(), REAL[: MIN_PATCHES - 1]) is None
    assert check_extractors([RandomFeatures()], REAL[:2]) == []


def test_random_features_are_the_same_every_time():
    images = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first, second = RandomFeatures().features(images), RandomFeatures().features(images)
    torch.testing.assert_close(first, second)
    assert first.shape == (2, 112)
    brighter = RandomFeatures().features(images * 0.5 + 0.5)
    assert (brighter - first).abs().max() > 0.01


def test_a_wave_has_its_power_in_its_band():
    x = torch.arange(48) / 48
    wave = 0.5 * torch.sin(2 * torch.pi * 9 * x).expand(1, 3, 48, 48)
    spectrum = power_spectrum(wave)[0]
    assert spectrum.argmax() == 4  # 9 of 48 cycles per px are in the fifth band of 1/24
    assert spectrum[4] > spectrum[10] + 2


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (17, 31), (48, 96)])
def test_patches_of_any_size_have_finite_statistics(size):
    statistics = pixel_statistics(torch.rand(2, 3, *size) * 2 - 1)
    assert bool(torch.isfinite(statistics).all())


def test_optical_densities_follow_beer_and_lambert():
    grey = torch.full((1, 3, 16, 16), 25.6 / 127.5 - 1 - 1 / 127.5)
    statistics = colour_statistics(grey)[0]
    torch.testing.assert_close(statistics[:3], torch.ones(3))
    torch.testing.assert_close(statistics[3:6], torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(statistics[6:15], torch.ones(9))


def test_corruptions_keep_what_they_should():
    rng = np.random.default_rng(0)
    shuffled = shuffled_pixels(REAL[:4], rng)
    np.testing.assert_array_equal(
        np.sort(shuffled.reshape(4, -1, 3), axis=1), np.sort(REAL[:4].reshape(4, -1, 3), axis=1)
    )
    assert (shuffled != REAL[:4]).mean() > 0.5
    assert blurred(REAL[:4], 4).std() < REAL[:4].std()
    colours = coloured_noise(REAL, rng)
    np.testing.assert_allclose(colours.mean((0, 1, 2)), REAL.mean((0, 1, 2)), atol=2)
    shifts = with_shifted_colours(np.full((50, 4, 4, 3), 128, np.uint8), rng, 15).astype(float)
    assert shifts.std((1, 2)).max() == 0  # one offset per patch and channel
    assert 10 < shifts.std() < 20
    noise = pure_noise(REAL, rng)
    assert abs(noise.mean() - 127.5) < 2
    assert (noise == 0).mean() > 0.1
