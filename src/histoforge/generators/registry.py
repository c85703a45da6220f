"""Methods by name, and what all trained generators can do."""

from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.errors import ModelError
from histoforge.core.seeds import derive_seed
from histoforge.core.settings import nearest
from histoforge.generators import class_wise
from histoforge.generators.methods import METHODS
from histoforge.patches.device import to_uint8
from histoforge.training.device import resolve_device
from histoforge.training.models import ModelInfo, load_model


class Generator(Protocol):
    """A trained model that draws patches of a class, whatever its method."""

    info: ModelInfo

    def sample(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Patches of the classes `labels`, int64 [B] on the CPU: float32 [B, 3, H, W] in [-1, 1].

        Args:
            labels: a class for each patch.
            rng: a generator on the CPU; equal ones give equal patches.
        """


@runtime_checkable
class LatentGenerator(Generator, Protocol):
    """A generator whose patches follow from points of a space in which one can walk: path lengths are measured there.

    Optional: a method without such a space leaves both functions out, and its path lengths are then reported as None.
    The points of `latents` are standard normal (z of a GAN, the first noise of a diffusion model with a deterministic
    sampler), and `decode` gives the same patch for the same point and label, whatever else is in the batch.
    """

    def latents(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """A standard normal point a patch, float32 [B, ...] on the CPU.

        Args:
            labels: int64 [B] on the CPU; one GAN a class has one space a class.
            rng: a generator on the CPU; equal ones give equal points.
        """

    def decode(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Patches at these points: float32 [B, 3, H, W] in [-1, 1].

        Always computed in float32, whatever the model's precision: a step of 1e-4 is lost in bfloat16.

        Args:
            latents: float32 [B, ...] on any device.
            labels: int64 [B] on the CPU.
        """


def load_generator(path: Path, device: str = "auto") -> Generator:
    """Load a trained generator of any method.

    Raises:
        ModelError: it is missing, damaged, not a generator, or of a method that this version does not have.
    """
    info, state = load_model(path, "generator")
    if info.method not in METHODS:
        raise ModelError(
            f"{path} was made by the method '{info.method}', which this version does not have"
            f"{nearest(info.method, METHODS)}: upgrade histoforge or train the generator again."
        )
    method, place = METHODS[info.method], resolve_device(device)
    load_one = import_module(f"{method.package}.trained").load
    if method.config(info.config).class_wise:
        return class_wise.load(info, state, place, load_one)
    generator: Generator = load_one(info, state, place)
    return generator


def draw(generator: Generator, labels: NDArray[np.int64], seed: int, batch_size: int = 128) -> NDArray[np.uint8]:
    """Patches of the given classes, uint8 [N, H, W, 3]; the seed, the labels and the batch size decide them.

    Args:
        generator: of any method.
        labels: int64 [N].
        seed: of the noise.
        batch_size: patches drawn at once.
    """
    rng = torch.Generator().manual_seed(derive_seed(seed, "draw"))
    patches = np.empty((len(labels), *generator.info.patch_size, 3), np.uint8)
    for start in range(0, len(labels), batch_size):
        rows = slice(start, start + batch_size)
        patches[rows] = to_uint8(generator.sample(torch.from_numpy(labels[rows]), rng)).cpu().numpy()
    return patches
