"""Corrupted copies of real patches, whose distances from real ones show what a metric's numbers mean."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.uint8]

BLURRED, SHUFFLED = "blurred real", "shuffled pixels"
BLUR_PX = 2


def reference_copies(images: Pixels, rng: np.random.Generator) -> dict[str, Pixels]:
    """Return blurred and shuffled copies of real patches, which show what a metric takes for real, by their names."""
    return {BLURRED: blurred(images, BLUR_PX), SHUFFLED: shuffled_pixels(images, rng)}


def blurred(images: Pixels, sigma: float) -> Pixels:
    """Blur patches, uint8 [N, H, W, 3], with a Gaussian of standard deviation `sigma`, px."""
    return gaussian_filter(images, (0, sigma, sigma, 0), mode="reflect")


def shuffled_pixels(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Shuffle the pixels of each patch, uint8 [N, H, W, 3]: all colours are kept, and no structure."""
    n, height, width, channels = images.shape
    order = rng.permuted(np.tile(np.arange(height * width), (n, 1)), axis=1)
    flat = images.reshape(n, height * width, channels)
    return np.take_along_axis(flat, order[..., None], axis=1).reshape(images.shape)


def with_noise(images: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    """Add independent Gaussian noise to each value; `deviation` in grey levels."""
    noise = rng.standard_normal(images.shape, dtype=np.float32) * deviation
    return _to_uint8(images + noise)


def with_shifted_colours(images: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    """Add a random offset to each channel of each patch; `deviation` in grey levels."""
    return _to_uint8(images + rng.normal(0, deviation, (len(images), 1, 1, 3)))


def pure_noise(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Return as many patches of independent Gaussian noise around grey, as an untrained diffusion model draws them."""
    return _to_uint8(127.5 + 127.5 * rng.standard_normal(images.shape, dtype=np.float32))


def coloured_noise(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Return as many patches of independent noise with the means and deviations that the channels of `images` have."""
    means, deviations = images.mean((0, 1, 2)), images.std((0, 1, 2))
    return _to_uint8(means + deviations * rng.standard_normal(images.shape, dtype=np.float32))


def _to_uint8(images: NDArray[np.floating]) -> Pixels:
    return images.round().clip(0, 255).astype(np.uint8)
