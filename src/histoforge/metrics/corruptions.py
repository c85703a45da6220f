"""Corrupted copies of real patches, whose distances from real ones show what a metric's numbers mean."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.uint8]

BLUR_PX, JPEG_QUALITY = 2, 75
BLURRED, SHUFFLED, RECOMPRESSED, NOISE = (
    "blurred real",
    "shuffled pixels",
    f"real as JPEG {JPEG_QUALITY}",
    "random noise",
)


def reference_copies(images: Pixels, rng: np.random.Generator) -> dict[str, Pixels]:
    """Return corrupted copies of real patches and random noise, which show what a metric takes for real, by name."""
    return {
        RECOMPRESSED: recompressed(images, JPEG_QUALITY),
        BLURRED: blurred(images, BLUR_PX),
        SHUFFLED: shuffled_pixels(images, rng),
        NOISE: pure_noise(images, rng),
    }


def recompressed(images: Pixels, quality: int) -> Pixels:
    """Encode patches, uint8 [N, H, W, 3], as JPEG of a quality from 1 to 95 with halved chroma, and decode them."""

    def once(image: Pixels) -> Pixels:
        stream = BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality, subsampling="4:2:0")
        return np.asarray(Image.open(stream), np.uint8)

    return np.stack([once(image) for image in images]) if len(images) else images


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
