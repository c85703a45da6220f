"""Patch-wise timestep tracking: large images from overviews (PathUp, section 3.3 and Algorithm 1)."""

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.generators.pathup.solvers import make_solver, solver_times
from histoforge.generators.pathup.tiled import decode_tiled, encode_tiled
from histoforge.generators.pathup.tracking_config import TrackingConfig
from histoforge.generators.pathup.trained import TrainedPathup
from histoforge.generators.pathup.windows import (
    Corner,
    Size,
    crop,
    merge_windows,
    pixel_overlap,
    weight_map,
    window_corners,
)
from histoforge.patches.device import to_uint8
from histoforge.patches.images import Pixels
from histoforge.training.device import autocast

PATCH, OVERVIEW = 0, 1
"""The spatial levels of a condition."""


class NoisePredictor(Protocol):
    """Predicts the noise in latents: float32 [B, C, h, w] and a time to float32 [B, C, h, w]."""

    def __call__(self, noisy: Tensor, time: int) -> Tensor: ...


def draw_large_image(
    model: TrainedPathup,
    label: int,
    size: Size,
    config: TrackingConfig,
    rng: torch.Generator,
    advance: Callable[[int], None] = lambda windows: None,
) -> Pixels:
    """Draw a large image of a class, uint8 [H, W, 3] (Algorithm 1).

    A3-6: the algorithm adds noise to the overview's latent and enlarges it afterwards, but interpolated noise is no
    longer white. Here the overview is enlarged in pixels, then encoded, and noise is added last.

    Args:
        model: the trained generator.
        label: the class.
        size: height and width, px; see `check_target`.
        config: the settings.
        rng: source of all noise, on the CPU.
        advance: called with the number of windows after each step; once, with 0, for 'bicubic'.
    """
    overview = draw_overview(model, label, rng)
    enlarged = np.array(Image.fromarray(overview).resize(size[::-1], Image.Resampling.BICUBIC))
    if config.upscaler == "bicubic":
        advance(0)
        return enlarged
    autoencoder, device = model.autoencoder, model.device
    coding = (model.window, pixel_overlap(config.overlap, model.window), autoencoder.factor, config.window_batch)
    with torch.inference_mode(), autocast(device, model.dtype):
        channels = autoencoder.architecture.latent_channels
        # line 4, and lines 5 to 12 in `track`
        latent = encode_tiled(lambda tiles: autoencoder.encode(tiles.to(device)), enlarged, channels, *coding)
        predictor = noise_predictor(model, model.condition(torch.tensor([label]), PATCH))
        latent = track(predictor, latent, model.alphas_cumprod, model.window, config, rng, advance)
        return decode_tiled(lambda tiles: autoencoder.decode(tiles.to(device)), latent, *coding)


def draw_overview(model: TrainedPathup, label: int, rng: torch.Generator) -> Pixels:
    """Draw an overview of a class, uint8 [h, w, 3]: I_ref of Algorithm 1."""
    return to_uint8(model.sample_level(torch.tensor([label]), OVERVIEW, rng))[0].cpu().numpy()


def track(
    predict_noise: NoisePredictor,
    latent: Tensor,
    alphas_cumprod: Tensor,
    window: Size,
    config: TrackingConfig,
    rng: torch.Generator,
    advance: Callable[[int], None] = lambda windows: None,
) -> Tensor:
    """Add noise to a large latent and remove it again by windows, float32 [C, H, W] (Algorithm 1, lines 5 to 12).

    A3-7: the paper gives each window a scheduler of its own and merges its steps. A solver's step is linear in the
    predictions, this one's and the last one's, so merging the noise that the windows predict, with one solver for the
    whole latent, is the same. It also allows windows that move.

    Args:
        predict_noise: predicts the noise in windows.
        latent: X_0 of the enlarged overview, float32 [C, H, W].
        alphas_cumprod: abar_t of the noise schedule, float64 [T].
        window: height and width of a window, px of the latent.
        config: the settings.
        rng: source of all noise, on the CPU.
        advance: called with the number of windows after each step.
    """
    solver = make_solver(config.solver, alphas_cumprod, config.steps, config.strength)
    overlap, weights = pixel_overlap(config.overlap, window), weight_map(config.weights, window)
    channels, height, width = latent.shape
    times = solver_times(solver)
    noise = torch.randn(latent.shape, generator=rng)
    # line 5, by A3-1
    noisy = solver.add_noise(latent, noise, cast(torch.IntTensor, times[:1]))
    for time in times.tolist():
        # line 6: the windows, which the paper chooses once
        shift = _random_shift(window, overlap, rng) if config.jitter else (0, 0)
        corners = window_corners((height, width), window, overlap, shift)

        def predicted(batch: Sequence[Corner], noisy: Tensor = noisy, time: int = time) -> Tensor:
            return predict_noise(torch.stack([crop(noisy, corner, window) for corner in batch]), time)

        # lines 8 to 11, in another order by A3-7
        noise = merge_windows(predicted, corners, (channels, height, width), weights, config.window_batch)
        noisy = solver.step(noise, time, noisy, return_dict=False)[0]
        advance(len(corners))
    return noisy


def check_target(size: Size, patch_size: Size, factor: int) -> None:
    """Check that images of `size` (height, width, px) can be drawn by windows.

    Args:
        size: size of the images.
        patch_size: size of a window in the image, px.
        factor: px of the image per px of the latent, of which both sides must be multiples.

    Raises:
        SettingsError: they cannot; the message has the nearest size that can.
    """
    nearest = tuple(max(round(side / factor) * factor, least) for side, least in zip(size, patch_size, strict=True))
    if nearest == size:
        return
    if any(side < least for side, least in zip(size, patch_size, strict=True)):
        reason = f"smaller than a window of {dimensions(patch_size)} px"
    else:
        reason = f"not a multiple of {factor} px, the factor of the generator's autoencoder"
    raise SettingsError(f"An image of {dimensions(size)} px is {reason}: choose {dimensions(nearest)}.")


def _random_shift(window: Size, overlap: int, rng: torch.Generator) -> Corner:
    strides = torch.tensor(window) - overlap
    row, column = (torch.rand(2, generator=rng) * strides).long().tolist()
    return row, column


def noise_predictor(model: TrainedPathup, condition: Tensor) -> NoisePredictor:
    """Return the model's prediction under one condition, int64 [1]."""

    def predict_noise(noisy: Tensor, time: int) -> Tensor:
        times = torch.full((len(noisy),), time)
        return model.predict_noise(noisy.to(model.device), times, condition.expand(len(noisy)))

    return predict_noise
