"""Stain normalisation, fitted once per slide, or once per image if slides are unknown."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from histoforge.patches.images import Pixels
from histoforge.slides.stain import Macenko, Reinhard, Transform, stain_normaliser

SAMPLE_IMAGES = 16
SAMPLE_PX = 65_536


def normaliser_of(stain: Literal["none", "macenko", "reinhard"]) -> Macenko | Reinhard | None:
    """Return the normaliser with its published target, or None for 'none'."""
    return None if stain == "none" else stain_normaliser(stain)


def sample_positions(count: int) -> list[int]:
    """Return the positions of a sample that is spread over `count` images."""
    return sorted(set(np.linspace(0, count - 1, SAMPLE_IMAGES).round().astype(int).tolist()))


def fit_to_images(normaliser: Macenko | Reinhard, images: Sequence[Pixels]) -> Transform:
    """Fit to the images of one slide, each uint8 [H, W, 3] of any size, using about 65,000 px of them."""
    steps = [1 + math.isqrt(image.shape[0] * image.shape[1] // SAMPLE_PX) for image in images]
    sample = [image[::step, ::step].reshape(-1, 3) for image, step in zip(images, steps, strict=True)]
    return normaliser.for_source(np.concatenate(sample))


def normalise_each(normaliser: Macenko | Reinhard | None, images: Pixels) -> Pixels:
    """Normalise patches of unknown slides, uint8 [n, h, w, 3], fitting each separately."""
    if normaliser is None:
        return images
    return np.stack([normaliser.for_source(image)(image) for image in images])
