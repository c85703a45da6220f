"""The diffusion model's network, loss and denoising against the equations."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from torch import nn

from histoforge.core.errors import SettingsError
from histoforge.generators.ddpm.config import TIMESTEPS, DdpmConfig
from histoforge.generators.ddpm.diffusion import denoise, denoise_from, diffusion_loss, noise_schedule
from histoforge.generators.ddpm.network import DenoisingNetwork, attention_level

TINY = {"unet_channels": 8, "levels": 2, "level_blocks": 1, "attention_size": 4}
MEAN, STD = 0.3, 0.1


def rng():
    return torch.Generator().manual_seed(0)


ABAR = (1 - torch.linspace(1e-4, 0.02, TIMESTEPS, dtype=torch.float64)).cumprod(0)
"""The product of 1 - beta up to each time (Ho et al. 2020, section 2)."""


class GaussianNoise(nn.Module):
    """The best prediction of the noise for images whose pixels are N(+-MEAN, STD^2), in closed form."""

    patch_size, prediction = (4, 6), "noise"

    def __init__(self) -> None:
        super().__init__()
        self.times: list[int] = []

    def forward(self, noisy, times, labels):
        self.times.append(int(times.flatten()[0]))
        kept = ABAR[times].float().expand(len(noisy))[:, None, None, None]
        mean = MEAN * (labels * 2 - 1)[:, None, None, None]
        return (1 - kept).sqrt() * (noisy - kept.sqrt() * mean) / (kept * STD**2 + 1 - kept)


def rescaled(abar):
    """abar with abar_T = 0 (Lin et al. 2024, algorithm 1)."""
    root = abar.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])).square()


class GaussianVelocity(nn.Module):
    """The best prediction of the velocity for the same images."""

    patch_size, prediction = (4, 6), "velocity"

    def forward(self, noisy, times, labels):
        kept = rescaled(ABAR)[times].float().expand(len(noisy))[:, None, None, None]
        mean = MEAN * (labels * 2 - 1)[:, None, None, None]
        excess = (noisy - kept.sqrt() * mean) / (kept * STD**2 + 1 - kept)
        image, noise = mean + kept.sqrt() * STD**2 * excess, (1 - kept).sqrt() * excess
        return kept.sqrt() * noise - (1 - kept).sqrt() * image


class GaussianImage(nn.Module):
    """The best prediction of the image itself."""

    patch_size, prediction = (4, 6), "image"

    def forward(self, noisy, times, labels):
        kept = rescaled(ABAR)[times].float().expand(len(noisy))[:, None, None, None]
        mean = MEAN * (labels * 2 - 1)[:, None, None, None]
        return mean + kept.sqrt() * STD**2 * (noisy - kept.sqrt() * mean) / (kept * STD**2 + 1 - kept)


@pytest.mark.parametrize("prediction", ["velocity", "image"])
def test_the_schedules_of_velocities_and_images_end_in_pure_noise(prediction):
    torch.testing.assert_close(noise_schedule(prediction).alphas_cumprod.double(), rescaled(ABAR), atol=1e-6, rtol=1e-4)
    assert float(noise_schedule(prediction).alphas_cumprod[-1]) == 0


def test_the_schedule_of_noise_is_ho_et_al_s():
    torch.testing.assert_close(noise_schedule("noise").alphas_cumprod.double(), ABAR, atol=1e-6, rtol=1e-4)


def test_the_loss_of_a_velocity_has_salimans_and_ho_s_target():
    images, noise = torch.rand(4, 3, 4, 6, generator=rng()) * 2 - 1, torch.randn(4, 3, 4, 6, generator=rng())
    times, labels = torch.tensor([0, 10, 500, 999]), torch.tensor([0, 1, 0, 1])
    kept = rescaled(ABAR)[times].float()[:, None, None, None]
    noisy = kept.sqrt() * images + (1 - kept).sqrt() * noise
    target = kept.sqrt() * noise - (1 - kept).sqrt() * images
    expected = (GaussianVelocity()(noisy, times, labels) - target).square().mean()
    loss = diffusion_loss(GaussianVelocity(), noise_schedule("velocity"), images, labels, times, noise)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-6)


def test_the_loss_of_an_image_compares_with_the_image():
    images, noise = torch.rand(4, 3, 4, 6, generator=rng()) * 2 - 1, torch.randn(4, 3, 4, 6, generator=rng())
    times, labels = torch.tensor([0, 10, 500, 999]), torch.tensor([0, 1, 0, 1])
    kept = rescaled(ABAR)[times].float()[:, None, None, None]
    expected = (GaussianImage()(kept.sqrt() * images + (1 - kept).sqrt() * noise, times, labels) - images).square()
    loss = diffusion_loss(GaussianImage(), noise_schedule("image"), images, labels, times, noise)
    torch.testing.assert_close(loss, expected.mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", [GaussianVelocity(), GaussianImage()])
@pytest.mark.parametrize(("steps", "eta"), [(500, 0.0), (1000, 1.0)])
def test_denoising_from_pure_noise_draws_the_distribution_that_was_learned(network, steps, eta):
    labels = torch.tensor([0, 1]).repeat_interleave(64)
    images = denoise(network, labels, steps, eta, rng(), torch.device("cpu"))
    for label, samples in enumerate(images.chunk(2)):
        assert float(samples.mean()) == pytest.approx(MEAN * (2 * label - 1), abs=0.01)
        assert float(samples.std()) == pytest.approx(STD, rel=0.05)


@pytest.mark.parametrize("steps", [4, 10, 20, 50])
def test_ancestral_sampling_by_velocities_is_finite(steps):
    images = denoise(GaussianVelocity(), torch.tensor([0, 1]), steps, 1.0, rng(), torch.device("cpu"))
    assert torch.isfinite(images).all()


def test_velocities_forgive_an_error_of_the_first_prediction_that_noise_does_not():
    """An error of 1% of a prediction at T moves an image by 1% of its range, or by more than its range."""

    def with_error(network):
        network.forward_exactly = network.forward
        network.forward = lambda noisy, times, labels: network.forward_exactly(noisy, times, labels) + 0.01
        return network

    first, label = torch.randn(64, 3, 4, 6, generator=rng()), torch.ones(64, dtype=torch.int64)
    moved = {}
    for network in (GaussianNoise(), GaussianVelocity()):
        exact = network(first, torch.tensor(999), label)
        wrong = with_error(network)(first, torch.tensor(999), label)
        schedule = noise_schedule(network.prediction)
        schedule.set_timesteps(10)
        images = [schedule.step(each, 999, first).pred_original_sample for each in (exact, wrong)]
        moved[network.prediction] = float((images[1] - images[0]).abs().mean())
    assert moved["velocity"] == pytest.approx(0.01, rel=0.01)
    assert moved["noise"] > 0.5


def test_the_loss_is_ho_et_al_s_equation_14():
    images, noise = torch.rand(4, 3, 4, 6, generator=rng()) * 2 - 1, torch.randn(4, 3, 4, 6, generator=rng())
    times, labels = torch.tensor([0, 10, 500, 999]), torch.tensor([0, 1, 0, 1])
    network = GaussianNoise()
    expected = torch.stack(
        [
            (noise[i] - network(ABAR[t] ** 0.5 * images[i] + (1 - ABAR[t]) ** 0.5 * noise[i], t, labels[i : i + 1])[0])
            .square()
            .mean()
            for i, t in enumerate(times)
        ]
    ).mean()
    torch.testing.assert_close(diffusion_loss(network, noise_schedule("noise"), images, labels, times, noise), expected)


@pytest.mark.parametrize(("steps", "eta"), [(500, 0.0), (1000, 1.0)])
def test_denoising_with_the_best_network_draws_the_distribution_that_was_learned(steps, eta):
    network, labels = GaussianNoise(), torch.tensor([0, 1]).repeat_interleave(64)
    images = denoise(network, labels, steps, eta, rng(), torch.device("cpu"))
    assert (images.shape, images.dtype) == ((128, 3, 4, 6), torch.float32)
    for label, samples in enumerate(images.chunk(2)):
        assert float(samples.mean()) == pytest.approx(MEAN * (2 * label - 1), abs=0.01)
        assert float(samples.std()) == pytest.approx(STD, rel=0.05)
    assert network.times == list(range(TIMESTEPS - 1, -1, -TIMESTEPS // steps))


def test_the_first_noise_alone_decides_a_ddim_image():
    labels = torch.tensor([0, 1])
    state = rng()
    denoise(GaussianNoise(), labels, 10, 0.0, state, torch.device("cpu"))
    after = rng()
    torch.randn(2, 3, 4, 6, generator=after)
    assert torch.equal(state.get_state(), after.get_state())


def test_a_network_by_label_heeds_the_label_and_any_other_does_not():
    noisy, times = torch.randn(2, 3, 8, 16, generator=rng()), torch.tensor([5, 900])
    for by_label in (False, True):
        torch.manual_seed(0)
        network = DenoisingNetwork(DdpmConfig.make({**TINY, "by_label": by_label}), (8, 16), classes=2).eval()
        first, second = (network(noisy, times, torch.tensor(labels)) for labels in ([0, 0], [0, 1]))
        assert first.shape == noisy.shape
        assert torch.equal(first[0], second[0])
        assert torch.equal(first[1], second[1]) != by_label


def test_the_defaults_are_ho_et_al_s_network_for_cifar10():
    """35.7 M weights (Ho et al. 2020, appendix B), with attention at 16x16."""
    network = DenoisingNetwork(DdpmConfig(), (32, 32), classes=2)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(35.7e6, rel=0.002)
    assert attention_level(DdpmConfig(), (32, 32)) == 1
    assert attention_level(DdpmConfig(), (64, 64)) == 2
    assert attention_level(DdpmConfig(), (96, 96)) == 3
    assert attention_level(DdpmConfig(), (256, 256)) is None


def test_an_unsupported_patch_size_is_an_error_with_those_it_can():
    with pytest.raises(SettingsError, match="levels=4 cannot make patches of 50x64 px.*48x64 or 56x64 px"):
        DenoisingNetwork(DdpmConfig(), (50, 64), classes=1)


def test_steps_that_do_not_divide_the_process_are_refused():
    with pytest.raises(SettingsError, match="sampling_steps=30 must divide 1000"):
        DdpmConfig.make({"sampling_steps": 30})


class WildNoise(nn.Module):
    """A prediction of the noise whose images are outside [-1, 1] at most times."""

    patch_size, prediction = (4, 6), "noise"

    def forward(self, noisy, times, labels):
        return (3 * noisy + 0.7).sin()


@pytest.mark.parametrize("steps", [10, 250])
def test_ancestral_sampling_is_that_of_ddpm_where_images_are_held_in_bounds(steps):
    ours = denoise(WildNoise(), torch.zeros(3, dtype=torch.int64), steps, 1.0, rng(), torch.device("cpu"))
    schedule = DDPMScheduler(
        TIMESTEPS, beta_start=1e-4, beta_end=0.02, variance_type="fixed_small", timestep_spacing="trailing"
    )
    schedule.set_timesteps(steps)
    state = rng()
    images = torch.randn(3, 3, 4, 6, generator=state)
    for time in schedule.timesteps:
        images = schedule.step(WildNoise()(images, time, None), int(time), images, generator=state).prev_sample
    torch.testing.assert_close(ours, images, rtol=1e-4, atol=1e-4)


def test_a_step_of_ancestral_sampling_has_the_mean_and_variance_of_the_posterior(monkeypatch):
    """Ho et al. 2020, eqs. 6 and 7, with x_0 clipped to [-1, 1]."""
    first = torch.full((1, 3, 4, 6), 2.0)
    before, after = 999, 899  # the first step of ten, without what follows
    monkeypatch.setattr(DDIMScheduler, "set_timesteps", _first_step_of_ten)
    labels, count = torch.zeros(4000, dtype=torch.int64), 4000
    samples = denoise_from(WildNoise(), first.expand(count, -1, -1, -1), labels, 10, 1.0, rng())
    held = (first - (1 - ABAR[before]) ** 0.5 * WildNoise()(first, None, None)) / ABAR[before] ** 0.5
    held = held.clamp(-1, 1)
    alpha = ABAR[before] / ABAR[after]
    mean = ABAR[after] ** 0.5 * (1 - alpha) / (1 - ABAR[before]) * held
    mean = mean + alpha**0.5 * (1 - ABAR[after]) / (1 - ABAR[before]) * first
    variance = (1 - ABAR[after]) / (1 - ABAR[before]) * (1 - alpha)
    assert float(samples.mean()) == pytest.approx(float(mean.mean()), abs=0.01)
    assert float(samples.var()) == pytest.approx(float(variance), rel=0.02)


def _first_step_of_ten(schedule, steps):
    schedule.num_inference_steps, schedule.timesteps = steps, torch.tensor([TIMESTEPS - 1])
