"""Loading of generators of any method, and the interface that all of them have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.core.seeds import derive_seed
from histoforge.core.settings import nearest
from histoforge.core.timings import spent
from histoforge.generators import class_wise
from histoforge.generators.imported.kinds import IMPORTED
from histoforge.generators.methods import METHODS
from histoforge.patches.device import to_uint8
from histoforge.training.device import resolve_device
from histoforge.training.model_files import ModelInfo, load_model


class Described(Protocol):
    """Anything with a description like a model's."""

    info: ModelInfo


class Generator(Described, Protocol):
    """A trained model of any method that draws patches of a class."""

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw patches of the classes `labels`, int64 [B] on the CPU: float32 [B, 3, H, W] in [-1, 1].

        Args:
            labels: the class of each patch.
            rng: a generator on the CPU; equal generators give equal patches.
        """


@runtime_checkable
class LatentGenerator(Generator, Protocol):
    """A generator whose patches are determined by points of a latent space, in which path lengths are measured.

    Optional: a method without such a space has neither function, and its path lengths are reported as None. The points
    of `latents` are standard normal (z of a GAN, the first noise of a diffusion model with a deterministic sampler).
    `decode` gives the same patch for the same point and label, whatever else is in the batch.
    """

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw one standard normal point per patch, float32 [B, ...] on the CPU.

        Args:
            labels: int64 [B] on the CPU; if there is one GAN per class, each class has its own space.
            rng: a generator on the CPU; equal generators give equal points.
        """

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Draw the patches at these points: float32 [B, 3, H, W] in [-1, 1].

        The computation is always in float32, whatever the model's precision, because bfloat16 loses a step of 1e-4.

        Args:
            latents: float32 [B, ...] on any device.
            labels: int64 [B] on the CPU.
        """


@runtime_checkable
class LevelGenerator(Generator, Protocol):
    """A generator that draws images of several spatial levels: patches (0), and overviews (1) of the same size."""

    @property
    def levels(self) -> int:
        """Number of levels that it draws."""

    def sample_level(self, labels: Tensor, level: int, rng: torch.Generator) -> Tensor:
        """Draw images of the classes `labels` at a level, as `sample` draws patches."""


class OverviewGenerator:
    """The overviews of a generator of several levels, drawn as others draw patches."""

    def __init__(self, generator: LevelGenerator) -> None:
        self.info, self._generator = generator.info, generator

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Draw overviews of the classes `labels`, int64 [B] on the CPU: float32 [B, 3, H, W] in [-1, 1]."""
        return self._generator.sample_level(labels, 1, rng)


def load_generator(path: Path, device: str = "auto") -> Generator:
    """Load a trained generator of any method.

    Raises:
        ModelError: it is missing, damaged, not a generator, or of a method that this version does not have.
        SettingsError: it needs another package, which is not installed.
    """
    info, state = load_model(path, "generator")
    if info.method in IMPORTED:
        imported: Generator = IMPORTED[info.method].load(info, state, resolve_device(device))
        return imported
    if info.method not in METHODS:
        raise ModelError(
            f"{path} was trained with the method '{info.method}', which this version does not have"
            f"{nearest(info.method, METHODS)}: upgrade histoforge or train the generator again."
        )
    method, on_device = METHODS[info.method], resolve_device(device)
    if method.config(info.config).class_wise:
        return class_wise.load(info, state, on_device, method.load)
    generator: Generator = method.load(info, state, on_device)
    return generator


def draw(generator: Generator, labels: NDArray[np.int64], seed: int, batch_size: int = 128) -> NDArray[np.uint8]:
    """Draw patches of the given classes, uint8 [N, H, W, 3], determined by the seed, the labels and the batch size.

    Args:
        generator: of any method.
        labels: int64 [N].
        seed: seed of the noise.
        batch_size: number of patches drawn at once.
    """
    patches = np.empty((len(labels), *generator.info.patch_size, 3), np.uint8)
    for rows, drawn in draw_batches(generator, labels, seed, batch_size):
        patches[rows] = drawn
    return patches


def draw_batches(
    generator: Generator, labels: NDArray[np.int64], seed: int, batch_size: int
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Yield consecutive rows with the patches that `draw` returns, uint8 [B, H, W, 3], one batch at a time."""
    rng = torch.Generator().manual_seed(derive_seed(seed, "draw"))
    for start in range(0, len(labels), batch_size):
        rows = slice(start, min(start + batch_size, len(labels)))
        with spent("compute", patches=len(labels[rows])):
            patches = to_uint8(generator.sample(torch.tensor(labels[rows]), rng)).cpu().numpy()
        yield rows, patches
