"""Stain normalisation, which makes patches of all slides look stained and scanned alike (Macenko 2009, Reinhard 2001).

The source is fitted once per slide, on a sample of its patches, and applied to all of them: a separate fit for each
patch is unstable if the patch is nearly white or contains only one stain.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.core.errors import SourceError
from histoforge.slides.reading import Pixels, Slide
from histoforge.slides.scale import Scale, read_patch

Matrix = NDArray[np.float64]
Transform = Callable[[Pixels], Pixels]
Method = Literal["macenko", "reinhard"]

LIGHT = 240.0
MIN_DENSITY = 0.15
PERCENTILE = 1.0
MIN_STAINED_PX = 500
MAX_GAIN = 2.0
SAMPLED_PATCHES = 48

MACENKO_STAINS = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581]])
MACENKO_AMOUNTS = np.array([1.9705, 1.0308])
REINHARD_MEAN = np.array([8.74108109, -0.12440419, 0.0444982])
REINHARD_STD = np.array([0.6135447, 0.10989545, 0.0286032])

_RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_LMS_TO_LAB = np.diag([1 / np.sqrt(3), 1 / np.sqrt(6), 1 / np.sqrt(2)]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])


class Macenko:
    """Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009.

    The two stains are the extreme directions (1st and 99th percentile) in the plane of the two largest eigenvectors of
    the optical densities of stained pixels; their amounts are scaled to the target's 99th percentile.

    The percentiles of source and target are taken over all pixels, glass included, as in the authors' published code,
    which also provides the default target. Percentiles over stained pixels alone are larger and not comparable with the
    default target.

    Attributes:
        stains: optical density of haematoxylin and eosin in red, green, blue; float64 [2, 3], rows of unit length.
        amounts: 99th percentile, over all pixels, of the amount of each, float64 [2].
    """

    def __init__(self, reference: Pixels | None = None) -> None:
        """Take the target from `reference`, uint8 [..., 3], or from the authors' published code.

        Raises:
            SourceError: the reference contains hardly any stain.
        """
        fitted = (MACENKO_STAINS, MACENKO_AMOUNTS) if reference is None else macenko_fit(reference)
        if fitted is None:
            raise _empty_reference()
        self.stains: Matrix = fitted[0]
        self.amounts: NDArray[np.float64] = fitted[1]

    def for_source(self, sample: Pixels) -> Transform:
        """Return the transform from source to target; it changes nothing if `sample` contains hardly any stain."""
        fitted = macenko_fit(sample)
        if fitted is None:
            return _unchanged
        stains, amounts = fitted
        matrix = (np.linalg.pinv(stains) * (self.amounts / amounts)) @ self.stains
        densities = _density(np.arange(256)).astype(np.float32)

        def transform(images: Pixels) -> Pixels:
            light = np.exp(-(densities[images] @ matrix.astype(np.float32))) * np.float32(LIGHT)
            return _to_uint8(light)

        return transform


class Reinhard:
    """Reinhard et al., "Color transfer between images", IEEE CG&A 21(5), 2001, on stained pixels only.

    The mean and standard deviation of each channel in l-alpha-beta space (Ruderman et al. 1998) become the target's.
    There are two additions: a standard deviation is at most doubled, which keeps slides of one hue from turning gaudy,
    and the change fades out towards white, which keeps glass and the edges of tissue free of colour.

    Attributes:
        mean: mean of the target's stained pixels in l-alpha-beta, float64 [3].
        std: standard deviation of these pixels, float64 [3].
    """

    def __init__(self, reference: Pixels | None = None) -> None:
        """Take the target from `reference`, uint8 [..., 3], or from TCGA-A2-A3XS-DX1 as published by HistomicsTK.

        Raises:
            SourceError: the reference contains hardly any stain.
        """
        fitted = (REINHARD_MEAN, REINHARD_STD) if reference is None else reinhard_fit(reference)
        if fitted is None:
            raise _empty_reference()
        self.mean: NDArray[np.float64] = fitted[0]
        self.std: NDArray[np.float64] = fitted[1]

    def for_source(self, sample: Pixels) -> Transform:
        """Return the transform from source to target; it changes nothing if `sample` contains hardly any stain."""
        fitted = reinhard_fit(sample)
        if fitted is None:
            return _unchanged
        mean, std = fitted
        back = np.linalg.inv(_LMS_TO_LAB).T.astype(np.float32)
        to_rgb = np.linalg.inv(_RGB_TO_LMS).T.astype(np.float32)
        gain = np.minimum(self.std / np.maximum(std, 1e-6), MAX_GAIN).astype(np.float32)
        offset = (self.mean - mean * gain).astype(np.float32)
        densities = _density(np.arange(256)).astype(np.float32)

        def transform(images: Pixels) -> Pixels:
            lab = _to_lab(images.astype(np.float32)) * gain + offset
            changed = np.exp(lab @ back) @ to_rgb
            weight = np.clip(densities[images[..., 1:2]] / MIN_DENSITY - 1, 0, 1)
            return _to_uint8(images + weight * (changed - images))

        return transform


def stain_normaliser(method: Method, reference: Pixels | None = None) -> Macenko | Reinhard:
    """Return the normaliser for a method, with its target from `reference`, uint8 [h, w, 3], or from its publication.

    Raises:
        SourceError: the reference contains hardly any stain.
    """
    return Macenko(reference) if method == "macenko" else Reinhard(reference)


def fit_to_slide(normaliser: Macenko | Reinhard, slide: Slide, plan: pd.DataFrame, scale: Scale) -> Transform:
    """Fit a normaliser to up to 48 patches spread over a slide, and return the transform for `read_patches`.

    Raises:
        SlideError: the slide is damaged in one of these patches.
    """
    if not len(plan):
        return _unchanged
    rows = np.unique(np.linspace(0, len(plan) - 1, SAMPLED_PATCHES).round().astype(int))
    corners = plan[["x", "y"]].to_numpy()[rows]
    sample = [read_patch(slide, scale, int(x), int(y)) for x, y in corners]
    return normaliser.for_source(np.stack(sample))


def macenko_fit(images: Pixels) -> tuple[Matrix, NDArray[np.float64]] | None:
    """Estimate stain vectors [2, 3] (haematoxylin, eosin) and amounts [2] of images, uint8 [..., 3].

    This follows section 2 of the paper. The vectors come from stained pixels, the amounts from all pixels. Haematoxylin
    is the vector that absorbs more red. Without stain, the result is None.
    """
    densities = _density(images.reshape(-1, 3))
    density = densities[(densities > MIN_DENSITY).all(axis=1)]
    if len(density) < MIN_STAINED_PX:
        return None
    _, vectors = np.linalg.eigh(np.cov(density.T))
    plane = vectors[:, 1:] * np.where(vectors[:, 1:].sum(axis=0) < 0, -1, 1)
    angle = np.arctan2(*(density @ plane).T)
    extremes = np.percentile(angle, [PERCENTILE, 100 - PERCENTILE])
    stains = np.stack([np.sin(extremes), np.cos(extremes)], axis=1) @ plane.T
    stains = np.abs(stains) / np.linalg.norm(stains, axis=1, keepdims=True)
    stains = stains[np.argsort(-stains[:, 0])]
    amounts = np.percentile(densities @ np.linalg.pinv(stains), 99, axis=0)
    if (amounts <= 0.01).any() or abs(stains[0] @ stains[1]) > 0.9999:
        return None
    return stains, amounts


def reinhard_fit(images: Pixels) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return mean and std [3] in l-alpha-beta of the stained pixels of images, uint8 [..., 3]; None without stain."""
    pixels = images.reshape(-1, 3)
    pixels = pixels[_stained(pixels)]
    if len(pixels) < MIN_STAINED_PX:
        return None
    lab = _to_lab(pixels.astype(np.float64))
    return lab.mean(axis=0), lab.std(axis=0)


def _density(values: NDArray[np.integer]) -> Matrix:
    """Return the optical density (natural logarithm) of light in [0, 255]."""
    return -np.log((values + 1.0) / LIGHT)


def _stained(images: Pixels) -> NDArray[np.bool_]:
    """Return a mask of pixels that absorb green light, which both stains absorb most; bool [...]."""
    return images[..., 1] + 1 < LIGHT * np.exp(-MIN_DENSITY)


def _to_lab(rgb: NDArray[np.floating]) -> NDArray[np.floating]:
    """Convert RGB in [0, 255], [..., 3], to l-alpha-beta with natural logarithms."""
    lms = np.maximum(rgb, 1) @ _RGB_TO_LMS.T.astype(rgb.dtype)
    return np.log(lms) @ _LMS_TO_LAB.T.astype(rgb.dtype)


def _to_uint8(values: NDArray[np.floating]) -> Pixels:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _unchanged(images: Pixels) -> Pixels:
    return images


def _empty_reference() -> SourceError:
    return SourceError(
        "The reference image of the stain normalisation contains hardly any stained tissue: choose another image."
    )
