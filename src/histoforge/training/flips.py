"""Random flips of real images during training."""

import torch
from torch import Tensor

from histoforge.training.processes import uniform


def flipped(images: Tensor, rng: torch.Generator) -> Tensor:
    """Flip each image, [B, 3, H, W], at random along each axis."""
    for axis in (2, 3):
        chosen = uniform(len(images), 1, 1, 1, rng=rng) < 0.5
        images = torch.where(chosen, images.flip(axis), images)
    return images
