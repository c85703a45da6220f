"""The forward process and its loss (Ho et al. 2020), and the reverse process (Song et al. 2021)."""

from typing import cast

import torch
import torch.nn.functional as F
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from histoforge.generators.ddpm.config import TIMESTEPS, Prediction
from histoforge.generators.ddpm.network import DenoisingNetwork

TYPES = {"velocity": "v_prediction", "image": "sample", "noise": "epsilon"}
"""The predictions, by diffusers' names."""
ALMOST_ONE = 1 - 1e-6
"""Largest eta where abar_T = 0: with 1, rounding makes the scheduler take the root of a negative number."""


def noise_schedule(prediction: Prediction) -> DDIMScheduler:
    """Return the schedule: beta from 0.0001 to 0.02 in equal steps (Ho et al. 2020, section 4).

    For velocities and images it is rescaled to abar_T = 0 (Lin et al. 2024, section 3.1 and algorithm 1). Without that,
    x_T keeps a trace of the mean colour of x_0 in training that it lacks in sampling. Noise cannot be predicted there,
    as x_T is the noise. Predicted images are clipped to [-1, 1].
    """
    return DDIMScheduler(
        TIMESTEPS,
        beta_start=1e-4,
        beta_end=0.02,
        clip_sample=True,
        timestep_spacing="trailing",
        prediction_type=TYPES[prediction],
        rescale_betas_zero_snr=prediction != "noise",
    )


def diffusion_loss(
    network: DenoisingNetwork, schedule: DDIMScheduler, images: Tensor, labels: Tensor, times: Tensor, noise: Tensor
) -> Tensor:
    """Compute the mean squared error of the network's prediction from x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.

    Of the noise, this is L_simple = E[(eps - eps_theta(x_t, t))^2] (Ho et al. 2020, eq. 14); of the velocity, its
    target is v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans & Ho 2022, section 4); of the image, x_0 itself. The
    mean is also taken over channels and pixels.

    Args:
        network: predicts what the schedule says.
        schedule: provides abar_t.
        images: x_0, float32 [B, 3, H, W] in [-1, 1].
        labels: int64 [B].
        times: t, from 0 to T - 1, int64 [B].
        noise: eps, standard normal, [B, 3, H, W].
    """
    steps = cast(torch.IntTensor, times)
    noisy = schedule.add_noise(images, noise, steps)
    predicted = network(noisy, times, labels)
    if network.prediction == "noise":
        return F.mse_loss(predicted, noise)
    if network.prediction == "image":
        return F.mse_loss(predicted, images)
    return F.mse_loss(predicted, schedule.get_velocity(images, noise, steps))


def denoise(
    network: DenoisingNetwork, labels: Tensor, steps: int, eta: float, rng: torch.Generator, device: torch.device
) -> Tensor:
    """Draw images from noise (Song et al. 2021, eq. 12): x_T down to x_0 in `steps` equal steps.

    Args:
        network: in evaluation mode, on `device`.
        labels: int64 [B], on `device`.
        steps: a divisor of T.
        eta: 0 for DDIM, where the first noise determines the image; 1 for ancestral sampling as in DDPM, from the
            posterior q(x_{t-1} | x_t, x_0) (Ho et al. 2020, eqs. 6 and 7) of the predicted image, clipped to [-1, 1].
        rng: source of all noise, on the CPU.
        device: where to compute.

    Returns:
        float32 [B, 3, H, W] in [-1, 1].
    """
    first = torch.randn(len(labels), 3, *network.patch_size, generator=rng)
    return denoise_from(network, first.to(device), labels, steps, eta, rng)


def denoise_from(
    network: DenoisingNetwork,
    first: Tensor,
    labels: Tensor,
    steps: int,
    eta: float = 0.0,
    rng: torch.Generator | None = None,
) -> Tensor:
    """Draw images, float32 [B, 3, H, W] in [-1, 1], from the first noise x_T, [B, 3, H, W]; otherwise like `denoise`.

    Where noise is drawn, the direction to x_t is recomputed from the image clipped to [-1, 1]. Only then is a step with
    eta 1 the posterior of DDPM for an image that leaves these bounds. Without noise the direction is the network's
    prediction, as in Song et al.
    """
    schedule, device = noise_schedule(network.prediction), first.device
    schedule.set_timesteps(steps)
    if network.prediction != "noise":
        eta = min(eta, ALMOST_ONE)
    images = first.to(memory_format=torch.channels_last)
    for time in schedule.timesteps:
        prediction = network(images, time.to(device), labels)
        fresh = torch.randn(first.shape, generator=rng).to(device) if eta else None
        images = schedule.step(
            prediction,
            int(time),
            images,
            eta=eta,
            use_clipped_model_output=eta > 0,
            variance_noise=fresh,
            return_dict=False,
        )[0]
    return images
