"""Small patterns for drawing phantom slides: periodic noise, fibres, nuclei."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from histoforge.core.seeds import numpy_rng
from histoforge.phantom.layout import Nuclei

Field = NDArray[np.float32]

PERIOD = 1024
STAMPS = 32


def smooth_noise(rng: np.random.Generator, wavelength: float, period: int = PERIOD) -> Field:
    """Draw periodic noise, float32 [period, period], with mean 0 and standard deviation 1.

    Args:
        wavelength: size of the lumps, px.
    """
    width = -2 * (np.pi * wavelength / 3) ** 2
    down = np.exp(width * fft.fftfreq(period) ** 2).astype(np.float32)
    across = np.exp(width * fft.rfftfreq(period) ** 2).astype(np.float32)
    spectrum = fft.rfft2(rng.standard_normal((period, period), np.float32))
    spectrum *= down[:, None]
    spectrum *= across[None]
    spectrum[0, 0] = 0
    noise = np.asarray(fft.irfft2(spectrum, (period, period)), np.float32)
    return noise / noise.std()


def fibres(rng: np.random.Generator, mpp: float, period: int = PERIOD) -> Field:
    """Draw wavy bundles of collagen, float32 [period, period] in about [-1, 1], periodic."""
    along = np.arange(period, dtype=np.float32) * (2 * np.pi / period)
    warp = smooth_noise(rng, 90 / mpp, period) * 9 + smooth_noise(rng, 25 / mpp, period) * 1.6
    pattern = np.zeros((period, period), np.float32)
    cycles = period * mpp / 7.0
    for share in (0.6, 1.0, 1.7):
        angle = rng.uniform(0, np.pi)
        across, down = round(cycles * share * np.cos(angle)), round(cycles * share * np.sin(angle))
        pattern += np.sin(across * along[None] + down * along[:, None] + warp * (1 + share)) / (1 + share)
    return (pattern * (0.75 + 0.35 * smooth_noise(rng, 12 / mpp, period)) / 1.3).astype(np.float32)


@dataclass(frozen=True)
class Patterns:
    """Patterns that all slides of one resolution share, each with a different offset.

    Attributes:
        fibre: bundles of collagen.
        nest: density of cells: above 0 in crowds of cells, below in the stroma between them.
        crack: tears in the tissue (high values).
        grain: fine grain of stroma and cytoplasm.
        camera: noise of the camera.
    """

    fibre: Field
    nest: Field
    crack: Field
    grain: Field
    camera: Field


@lru_cache(maxsize=2)
def make_patterns(seed: int, mpp: float) -> Patterns:
    """Return the patterns for a resolution in um/px."""
    rng = numpy_rng(seed, "patterns")
    return Patterns(
        fibre=fibres(rng, mpp),
        nest=smooth_noise(rng, 55 / mpp),
        crack=_cracks(rng, mpp),
        grain=smooth_noise(rng, 2.2 / mpp),
        camera=rng.standard_normal((PERIOD, PERIOD)).astype(np.float32),
    )


def _cracks(rng: np.random.Generator, mpp: float) -> Field:
    """Draw thin clefts along the zeros of a smooth field, in some areas only."""
    cleft = np.abs(smooth_noise(rng, 60 / mpp)) + 0.06 * np.abs(smooth_noise(rng, 14 / mpp))
    elsewhere = np.clip(smooth_noise(rng, 80 / mpp) + 0.4, 0, None)
    return (-cleft - 0.5 * elsewhere).astype(np.float32)


def window(field: Field, x: int, y: int, width: int, height: int) -> Field:
    """Return a window of a periodic field that starts at (x, y), float32 [height, width]."""
    rows = np.arange(y, y + height) % field.shape[0]
    columns = np.arange(x, x + width) % field.shape[1]
    return field[rows[:, None], columns[None]]


def nuclei_stamps(rng: np.random.Generator, nuclei: Nuclei, mpp: float, count: int = STAMPS) -> Field:
    """Draw single nuclei, haematoxylin in [0, about 1.5], float32 [count, side, side] with an odd side.

    A nucleus is an ellipse with a dented outline, a darker rim, clumps of chromatin and, if it is large, a nucleolus.
    """

    def scatter(std: float, low: float, high: float) -> Field:
        return np.clip(1 + std * rng.standard_normal((count, 1, 1), np.float32), low, high)

    def turn() -> Field:
        return np.float32(2 * np.pi) * rng.random((count, 1, 1), np.float32)

    radius = nuclei.radius / mpp * scatter(nuclei.spread, 0.6, 1.6)
    stretch = np.sqrt(nuclei.elongation * scatter(0.12, 0.75, 1.35))
    half = int(np.ceil(radius.max() * stretch.max() * 1.25)) + 1
    down, across = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    angle = turn()
    long = (across * np.cos(angle) + down * np.sin(angle)) / stretch
    short = (-across * np.sin(angle) + down * np.cos(angle)) * stretch
    theta = np.arctan2(short, long)
    outline = np.ones_like(theta)
    for wave in (2, 3, 4, 5):
        depth = nuclei.irregularity * rng.standard_normal((count, 1, 1), np.float32)
        outline += depth * np.cos(wave * theta + turn())
    distance = np.hypot(long, short) / (radius * outline)
    edge = np.clip((1 - distance) * radius / 1.2 + 0.5, 0, 1)
    rim = np.exp(-(((distance - 0.85) / 0.16) ** 2))
    nucleolus = np.exp(-((np.hypot(long - 0.2 * radius, short) / (0.22 * radius)) ** 2)) * (radius * mpp > 3.2)
    inside = 0.62 + 0.22 * rim + 0.16 * _clumps(rng, count, 2 * half + 1) + 0.35 * nucleolus
    shade = nuclei.darkness * scatter(0.12, 0.7, 1.35)
    return np.asarray(edge * inside * shade, np.float32)


def _clumps(rng: np.random.Generator, count: int, side: int) -> Field:
    noise = rng.standard_normal((count, side + 2, side + 2)).astype(np.float32)
    blurred = sum(noise[:, i : i + side, j : j + side] for i in range(3) for j in range(3))
    return np.asarray(blurred / 3, np.float32)
