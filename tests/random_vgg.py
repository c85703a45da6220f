"""VGG-16's convolutions with random weights, for the tests of LPIPS and of the losses that contain it."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import vgg


def random_vgg() -> dict[str, Tensor]:
    """Return the weights by their names in torchvision's VGG-16."""
    torch.manual_seed(0)
    layers = vgg.make_layers(vgg.cfgs["D"])
    return {f"features.{name}": weight for name, weight in layers.state_dict().items()}


def write_random_vgg(path: Path) -> Path:
    """Write these weights as torchvision's file of weights, and return its path."""
    torch.save(random_vgg(), path)
    return path
