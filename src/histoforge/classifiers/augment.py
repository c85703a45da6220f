"""Traditional augmentation of a whole batch on the device, with separate parameters for each patch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from histoforge.training.processes import uniform

LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True)
class ColourJitter:
    """Half-widths of the uniform distributions that factors are drawn from.

    Attributes:
        brightness, contrast, saturation: factors lie in [1 - x, 1 + x].
        hue: the rotation lies in [-x, x] turns of the colour circle.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float


def traditional(images: Tensor, jitter: ColourJitter, rng: torch.Generator) -> Tensor:
    """Apply horizontal flips and colour jitter, the "traditional augmentation" of Xue et al. 2021, section 4.3.3.

    The paper gives neither probability nor strength: half of the patches are flipped, and the strengths are settings.

    Args:
        images: float [B, 3, H, W] in [-1, 1].
        jitter: the strengths.
        rng: on the images' device.
    """
    flipped = uniform(len(images), rng=rng) < 0.5
    images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    draws = uniform(len(images), 4, rng=rng).T * 2 - 1
    brightness, contrast, saturation = (
        1 + draws[i] * strength for i, strength in enumerate((jitter.brightness, jitter.contrast, jitter.saturation))
    )
    return adjust_colours(images, brightness, contrast, saturation, draws[3] * jitter.hue)


def adjust_colours(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Adjust brightness, contrast, saturation and hue, in this order, as torchvision defines them with two exceptions.

    Hue rotates the chroma plane of YIQ, a linear map, instead of HSV's piecewise one, and values are clipped to [0, 1]
    only once, at the end. The four adjustments are therefore a single affine map of the colours of each patch.

    Args:
        images: float [B, 3, H, W] in [-1, 1].
        brightness, contrast, saturation: factors, [B]; 1 changes nothing.
        hue: turns of the colour circle, [B]; 0 changes nothing.
    """
    x = (images + 1) * 0.5
    luma = torch.tensor(LUMA, device=x.device)
    grey_mean = torch.einsum("bchw,c->b", x, luma) / (x.shape[2] * x.shape[3]) * brightness
    colours = _hue_matrix(hue) @ _saturation_matrix(saturation, luma)
    matrix = colours * (brightness * contrast).view(-1, 1, 1)
    # saturation and hue do not change greys, so the contrast's grey is added after them
    offset = ((1 - contrast) * grey_mean).view(-1, 1, 1, 1)
    x = torch.einsum("bdc,bchw->bdhw", matrix, x) + offset
    return (x.clamp(0, 1) * 2 - 1).contiguous(memory_format=torch.channels_last)


def _saturation_matrix(saturation: Tensor, luma: Tensor) -> Tensor:
    factor = saturation.view(-1, 1, 1)
    return factor * torch.eye(3, device=luma.device) + (1 - factor) * luma.expand(3, 3)


def _hue_matrix(turns: Tensor) -> Tensor:
    angle = turns * (2 * torch.pi)
    rotation = torch.zeros(len(turns), 3, 3, device=turns.device)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2], rotation[:, 2, 1] = -angle.sin(), angle.sin()
    to_yiq = torch.tensor(YIQ, device=turns.device)
    return torch.linalg.inv(to_yiq) @ rotation @ to_yiq
