"""Solvers equal diffusers' own on a single window, and do not corrupt pixels that several windows share."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from histoforge.generators.pathup.solvers import make_solver, solver_times
from histoforge.generators.pathup.tracking import track
from histoforge.generators.pathup.tracking_config import TrackingConfig
from histoforge.generators.pathup.windows import crop, weight_map, window_corners

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "timestep_spacing": "trailing"}
ALPHAS_CUMPROD = DDIMScheduler(1000, **SCHEDULE).alphas_cumprod.double()
WINDOW = (8, 8)


def predict_noise(noisy, time):
    """A prediction that depends nonlinearly on all of a window, like a network's."""
    return torch.tanh(noisy + noisy.mean((2, 3), keepdim=True)) * (0.5 + time / 2000)


def schedulers():
    ddim = DDIMScheduler(1000, **SCHEDULE, clip_sample=False)
    return {"ddim": ddim, "dpm": DPMSolverMultistepScheduler(1000, **SCHEDULE)}


def noisy_latent(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("steps", [5, 20])
@pytest.mark.parametrize("name", ["ddim", "dpm"])
def test_a_single_window_is_denoised_as_by_diffusers(name, steps):
    reference, solver = schedulers()[name], make_solver(name, ALPHAS_CUMPROD, steps)
    reference.set_timesteps(steps)
    assert solver_times(solver).tolist() == reference.timesteps.tolist()
    expected = actual = noisy_latent(1, 4, *WINDOW)
    for time in reference.timesteps.tolist():
        expected = reference.step(predict_noise(expected, time), time, expected, return_dict=False)[0]
        actual = solver.step(predict_noise(actual, time), time, actual, return_dict=False)[0]
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


def test_the_strength_is_the_share_of_the_steps_that_are_taken():
    all_times = solver_times(make_solver("ddim", ALPHAS_CUMPROD, 50)).tolist()
    assert len(all_times) == 50
    assert solver_times(make_solver("ddim", ALPHAS_CUMPROD, 50, 0.6)).tolist() == all_times[20:]
    assert solver_times(make_solver("ddim", ALPHAS_CUMPROD, 2, 0.1)).tolist() == all_times[25:26]


def test_noise_is_added_for_the_first_time():
    solver = make_solver("dpm", ALPHAS_CUMPROD, 50, 0.6)
    clean, noise = noisy_latent(4, 8, 8), noisy_latent(4, 8, 8, seed=1)
    signal = ALPHAS_CUMPROD[solver_times(solver)[0]].float()
    noisy = solver.add_noise(clean, noise, solver_times(solver)[:1])
    torch.testing.assert_close(noisy, signal.sqrt() * clean + (1 - signal).sqrt() * noise)  # A3-1


def track_by_window(clean, config, seed, one_scheduler=False):
    """Algorithm 1 as it is printed: each window makes its step with a scheduler of its own, and the steps are merged.

    With `one_scheduler`, all windows have the same one, as in early versions of diffusers' panoramas.
    """
    corners, weights = window_corners(clean.shape[1:], WINDOW, 4), weight_map("paper", WINDOW)
    solvers = [make_solver(config.solver, ALPHAS_CUMPROD, config.steps, config.strength) for _ in corners]
    if one_scheduler:
        solvers = solvers[:1] * len(corners)
    times = solver_times(solvers[0])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    noisy = solvers[0].add_noise(clean, noise, times[:1])
    for position, time in enumerate(times.tolist(), solvers[0].begin_index):
        total, weight = torch.zeros_like(noisy), torch.zeros(noisy.shape[1:])
        for corner, solver in zip(corners, solvers, strict=True):
            if one_scheduler:
                solver._step_index = position
            window = crop(noisy, corner, WINDOW)
            step = solver.step(predict_noise(window[None], time)[0], time, window, return_dict=False)[0]
            crop(total, corner, WINDOW).add_(weights * step)
            crop(weight, corner, WINDOW).add_(weights)
        noisy = total / weight
    return noisy


@pytest.mark.parametrize("solver", ["ddim", "dpm"])
def test_merging_noise_equals_merging_the_steps_of_separate_schedulers(solver):
    config = TrackingConfig(solver=solver, steps=20, window_batch=3)
    clean = noisy_latent(4, 14, 18)
    rng = torch.Generator().manual_seed(7)
    tracked = track(predict_noise, clean, ALPHAS_CUMPROD, WINDOW, config, rng)
    torch.testing.assert_close(tracked, track_by_window(clean, config, seed=7), rtol=1e-4, atol=1e-4)


def test_a_multistep_scheduler_shared_by_windows_would_corrupt_them():
    config = TrackingConfig(solver="dpm", steps=20)
    clean = noisy_latent(4, 14, 18)
    separate = track_by_window(clean, config, seed=7)
    shared = track_by_window(clean, config, seed=7, one_scheduler=True)
    assert (shared - separate).abs().max() > 0.1


@pytest.mark.parametrize("weights", ["paper", "tent", "none"])
@pytest.mark.parametrize("solver", ["ddim", "dpm"])
def test_windows_of_a_pointwise_prediction_leave_no_trace(solver, weights):
    """If the noise at a pixel depends on that pixel alone, windows merge to what one large window gives."""
    clean = noisy_latent(4, 14, 18)
    results = []
    for window, jitter in ((WINDOW, False), (WINDOW, True), ((14, 18), False)):
        config = TrackingConfig(solver=solver, steps=10, weights=weights, jitter=jitter)
        rng = torch.Generator().manual_seed(3)
        results.append(track(lambda noisy, time: torch.tanh(noisy), clean, ALPHAS_CUMPROD, window, config, rng))
    torch.testing.assert_close(results[0], results[2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[1], results[2], rtol=1e-4, atol=1e-4)
