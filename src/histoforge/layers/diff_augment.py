"""Differentiable augmentation of a discriminator's inputs (Zhao et al. 2020, "DiffAugment")."""

import torch
import torch.nn.functional as F
from torch import Tensor

from histoforge.training.processes import uniform

SHIFT, HOLE = 1 / 8, 1 / 2
"""Translation by at most an eighth of a side, and holes of half a side (section 3.3 of the paper)."""


def diff_augment(images: Tensor, policy: str, rng: torch.Generator) -> Tensor:
    """Augment images [B, 3, H, W] in [-1, 1] independently at random; gradients pass through.

    Args:
        images: real or generated images; both must be augmented, in the updates of both networks.
        policy: comma-separated list of 'colour', 'translation' and 'cutout'; '' leaves the images unchanged.
        rng: a generator on the images' device.
    """
    for name in filter(None, policy.split(",")):
        images = {"colour": _colour, "translation": _translation, "cutout": _cutout}[name](images, rng)
    return images


def _colour(images: Tensor, rng: torch.Generator) -> Tensor:
    """Shift brightness by [-0.5, 0.5), and scale saturation by [0, 2) and contrast by [0.5, 1.5)."""
    brightness, saturation, contrast = uniform(len(images), 3, 1, 1, 1, rng=rng).unbind(1)
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = torch.lerp(grey.expand_as(images), images, 2 * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean.expand_as(images), images, contrast + 0.5)


def _translation(images: Tensor, rng: torch.Generator) -> Tensor:
    """Translate by up to an eighth of each side, filling with zeros."""
    batch, _, height, width = images.shape
    max_y, max_x = (int(side * SHIFT + 0.5) for side in (height, width))
    rows = _shifts(batch, max_y, rng) + torch.arange(height, device=images.device) + max_y
    columns = _shifts(batch, max_x, rng) + torch.arange(width, device=images.device) + max_x
    padded = F.pad(images, (max_x, max_x, max_y, max_y)).permute(0, 2, 3, 1)
    index = torch.arange(batch, device=images.device)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cutout(images: Tensor, rng: torch.Generator) -> Tensor:
    """Cut out a hole of zeros, half as high and wide as the image, centred anywhere in it."""
    batch, _, height, width = images.shape
    inside = []
    for side in (height, width):
        size = int(side * HOLE + 0.5)
        low = (uniform(batch, 1, rng=rng) * (side + 1 - size % 2)).long() - size // 2
        position = torch.arange(side, device=images.device)
        inside.append((position >= low) & (position < low + size))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return images.masked_fill(hole, 0.0)


def _shifts(batch: int, limit: int, rng: torch.Generator) -> Tensor:
    return (uniform(batch, 1, rng=rng) * (2 * limit + 1)).long() - limit
