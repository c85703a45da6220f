"""The forward process of PathUp and the loss of its U-Net (eqs. 1 and 2)."""

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from histoforge.generators.pathup.config import TIMESTEPS, Target

GAMMA = 5.0
"""Largest weight of the clean image's loss, as Hang et al. 2023 recommend."""


def noise_schedule() -> DDIMScheduler:
    """Return the schedule of Stable Diffusion: sqrt(beta) from sqrt(0.00085) to sqrt(0.012) in equal steps."""
    return DDIMScheduler(
        TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        timestep_spacing="trailing",
    )


def add_noise(latents: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """Return x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps, float32 [B, C, h, w].

    A3-1: eq. 1 prints (1 - alpha_t) as the factor of the noise, which would not keep the variance.

    Args:
        latents: x_0, float32 [B, C, h, w].
        noise: eps, of the same shape.
        signal: abar_t of each, [B].
    """
    signal = _per_image(signal)
    return signal.sqrt() * latents + (1 - signal).sqrt() * noise


def noise_of(clean: Tensor, noisy: Tensor, signal: Tensor) -> Tensor:
    """Return the noise eps in x_t if x_0 is `clean`, float32 [B, C, h, w]; the other arguments as in `add_noise`."""
    signal = _per_image(signal)
    return (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()


def reconstruction_loss(prediction: Tensor, latents: Tensor, noise: Tensor, signal: Tensor, target: Target) -> Tensor:
    """Return L_r, the weighted squared error of the prediction, averaged over all elements.

    A3-2: eq. 2 has the error of the clean image with an unspecified weight sigma_t. The error of the noise is that
    error with the weight SNR_t = abar_t / (1 - abar_t); for the clean image the weight is min(SNR_t, 5) (Hang et al.
    2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", section 3.4).

    Args:
        prediction: what the U-Net predicted, float32 [B, C, h, w].
        latents, noise, signal: as in `add_noise`.
        target: what it predicts.
    """
    if target == "noise":
        return (prediction - noise).square().mean()
    weight = (signal / (1 - signal)).clamp(max=GAMMA)
    return ((prediction - latents).square().mean((1, 2, 3)) * weight).mean()


def _per_image(values: Tensor) -> Tensor:
    return values.to(torch.float32)[:, None, None, None]
