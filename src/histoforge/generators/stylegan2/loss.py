"""The losses and the two lazy regularisers of StyleGAN2 (Karras et al. 2020, section 3)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.training.processes import mean, uniform


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute E[softplus(D(fake))] + E[softplus(-D(real))] from scores [B]: logistic (Goodfellow et al. 2014)."""
    return F.softplus(fake).mean() + F.softplus(-real).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Compute E[softplus(-D(fake))] from scores [B]: the non-saturating loss."""
    return F.softplus(-fake).mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Compute E[||grad_x D(x)||_2^2] / 2 at real images x, [B, 3, H, W] (Mescheder et al. 2018, eq. 9, with gamma 1).

    Args:
        discriminator: maps images to scores [B]. The gradient is that of the sum of all scores; where the deviation of
            a batch enters them, it includes the influence of an image on the scores of its group, as published.
        real: [B, 3, H, W].
    """
    images = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean() / 2


class PathLengthPenalty(nn.Module):
    """E[(||J_w^T y||_2 - a)^2] with y ~ N(0, I), and a the moving average of these lengths (eq. 4).

    As in the authors' code, y is divided by the root of the number of pixels, so that lengths do not depend on the size
    of the patches, and the length is the root mean square over layers. a is a constant in the gradient, is part of a
    checkpoint, and averages the lengths of all processes.

    Attributes:
        average: a; 0 at the start.
    """

    average: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))

    def forward(self, images: Tensor, styles: Tensor, y: Tensor) -> Tensor:
        """Compute the penalty and update the average.

        Args:
            images: [B, 3, H, W], drawn from `styles`.
            styles: [B, layers, style_dim], which require a gradient.
            y: standard normal, [B, 3, H, W].
        """
        lengths = path_lengths(images, styles, y)
        self.average.lerp_(mean(lengths.detach().mean()), self.decay)
        return (lengths - self.average.clone()).square().mean()


def path_lengths(images: Tensor, styles: Tensor, y: Tensor) -> Tensor:
    """Compute ||J_w^T y||_2 / sqrt(H W) of each image, float32 [B], as a root mean square over layers.

    J_w^T y is the gradient of the inner product of y and the image (section 3.2).
    """
    product = (images * y).sum() / (images.shape[2] * images.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad(product, styles, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()


def mixed(first: Tensor, second: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Mix styles [B, layers, style_dim]: with probability `share`, the layers from a random one on are of `second`.

    This is the mixing regularisation of Karras et al. 2019, section 3.1.
    """
    layers = first.shape[1]
    chosen, position = uniform(len(first), 2, 1, 1, rng=rng).unbind(1)
    crossover = torch.where(chosen < share, 1 + (position * (layers - 1)).floor(), layers)  # [B, 1, 1]
    later = torch.arange(layers, device=first.device)[:, None] >= crossover
    return torch.where(later, second, first)
