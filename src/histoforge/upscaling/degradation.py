"""The degradations of BSRGAN, in random order (Zhang et al. 2021, section 3).

"Designing a Practical Degradation Model for Deep Blind Image Super-Resolution". Deviations: the noise of cameras'
sensors is left out, since slides are not photographs; the nearest pixel to the centre of each square of `scale` px
replaces the shifted blur before nearest down-sampling.
"""

import io
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from histoforge.patches.device import to_uint8, to_unit

KERNEL_SIZES = range(7, 22, 2)
ISOTROPIC_WIDTHS = {2: (0.1, 2.4), 4: (0.1, 2.8)}
ANISOTROPIC_WIDTHS = {2: (0.5, 6.0), 4: (0.5, 8.0)}
"""Smallest and largest standard deviation of a Gaussian blur by scale, px (section 3.1); 8 has those of 4."""
NOISE_LEVELS = range(1, 26)
QUALITIES = range(30, 96)
JPEG_SHARE = 0.75
HALF_FIRST_SHARE = 0.25
"""Share of images that are halved first and then treated as those of half the scale."""
INTERPOLATIONS = ("nearest-exact", "bilinear", "bicubic")


def degrade(images: Tensor, scale: int, rng: torch.Generator) -> Tensor:
    """Shrink images, each by its own random series of degradations.

    Args:
        images: float32 [B, 3, H, W] in [-1, 1].
        scale: factor by which they are shrunk, of which H and W are multiples.
        rng: source of all random choices, on the images' device.

    Returns:
        float32 [B, 3, H / scale, W / scale] in [-1, 1].
    """
    seeds = torch.randint(2**62, (len(images),), generator=rng, device=rng.device).tolist()
    return torch.cat(
        [
            _degrade_one(image[None], scale, np.random.default_rng(seed), rng)
            for image, seed in zip(images, seeds, strict=True)
        ]
    )


def _degrade_one(image: Tensor, scale: int, choices: np.random.Generator, rng: torch.Generator) -> Tensor:
    size = (image.shape[2] // scale, image.shape[3] // scale)
    if scale > 2 and choices.random() < HALF_FIRST_SHARE:
        image, scale = _resized(image, (image.shape[2] // 2, image.shape[3] // 2), choices), scale // 2
    operations: list[Callable[[Tensor], Tensor]] = [
        lambda x: blur(x, isotropic_kernel(scale, choices)),
        lambda x: blur(x, anisotropic_kernel(scale, choices)),
        lambda x: down_sample(x, size, choices),
        lambda x: add_gaussian_noise(x, choices, rng),
    ]
    if choices.random() < JPEG_SHARE:
        operations.append(lambda x: compress(x, choices))
    for index in choices.permutation(len(operations)):
        image = operations[index](image)
    return compress(image, choices)


def isotropic_kernel(scale: int, choices: np.random.Generator) -> Tensor:
    """Draw the kernel of a blur that is equal in all directions, float32 [k, k]."""
    width = choices.uniform(*ISOTROPIC_WIDTHS[min(scale, 4)])
    return gaussian_kernel(int(choices.choice(KERNEL_SIZES)), (width, width), 0.0)


def anisotropic_kernel(scale: int, choices: np.random.Generator) -> Tensor:
    """Draw the kernel of a blur with two widths and a direction, float32 [k, k]."""
    widths = choices.uniform(*ANISOTROPIC_WIDTHS[min(scale, 4)], 2)
    return gaussian_kernel(int(choices.choice(KERNEL_SIZES)), (widths[0], widths[1]), choices.uniform(0, math.pi))


def gaussian_kernel(size: int, widths: tuple[float, float], angle: float) -> Tensor:
    """Return a Gaussian of sum 1, float32 [size, size].

    Args:
        size: its side, px, odd.
        widths: standard deviations along its two axes, px.
        angle: angle between the first axis and the rows, radians.
    """
    y, x = torch.meshgrid(*[torch.arange(size) - size // 2] * 2, indexing="ij")
    along = (x * math.cos(angle) + y * math.sin(angle)) / widths[0]
    across = (y * math.cos(angle) - x * math.sin(angle)) / widths[1]
    weights = torch.exp(-(along.square() + across.square()) / 2)
    return weights / weights.sum()


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """Blur an image, float32 [1, 3, H, W], with a kernel [k, k]; the pixels at its border are repeated beyond it."""
    padding = len(kernel) // 2
    padded = F.pad(image, (padding,) * 4, mode="replicate")
    return F.conv2d(padded, kernel.to(image.device).expand(3, 1, -1, -1), groups=3)


def down_sample(image: Tensor, size: tuple[int, int], choices: np.random.Generator) -> Tensor:
    """Shrink an image to a size, directly or, in one of four cases, by way of a random size in between.

    The size in between is drawn from half the final one up to the present one (section 3.2).
    """
    if choices.integers(4) == 3:
        share = choices.uniform(0.5, image.shape[2] / size[0])
        image = _resized(image, (max(1, round(size[0] * share)), max(1, round(size[1] * share))), choices)
    return _resized(image, size, choices)


def _resized(image: Tensor, size: tuple[int, int], choices: np.random.Generator) -> Tensor:
    mode = str(choices.choice(INTERPOLATIONS))
    antialias = mode != "nearest-exact"
    return F.interpolate(image, size, mode=mode, antialias=antialias).clamp(-1, 1)


def add_gaussian_noise(image: Tensor, choices: np.random.Generator, rng: torch.Generator) -> Tensor:
    """Add noise that is correlated between colours, independent, or grey, with odds of 1 : 2 : 2 (section 3.3)."""
    level = 2 * int(choices.choice(NOISE_LEVELS)) / 255  # values have a range of 2
    kind = choices.choice(3, p=(0.2, 0.4, 0.4))
    channels = 1 if kind == 2 else 3
    noise = torch.randn(1, channels, *image.shape[2:], generator=rng, device=image.device)
    if kind == 0:
        noise = torch.einsum("ij,bjhw->bihw", _random_mixing(choices).to(image.device), noise)
    return (image + level * noise).clamp(-1, 1)


def _random_mixing(choices: np.random.Generator) -> Tensor:
    """Return a random matrix M whose covariance M M^T has eigenvalues in [0, 1], float32 [3, 3]."""
    rotation, _ = np.linalg.qr(choices.normal(size=(3, 3)))
    return torch.from_numpy(rotation * np.sqrt(choices.random(3))).float()


def compress(image: Tensor, choices: np.random.Generator) -> Tensor:
    """Store an image, float32 [1, 3, H, W] in [-1, 1], as JPEG of random quality, and read it again."""
    file = io.BytesIO()
    Image.fromarray(to_uint8(image)[0].cpu().numpy()).save(file, "JPEG", quality=int(choices.choice(QUALITIES)))
    stored = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None]
    return to_unit(stored.to(image.device))
