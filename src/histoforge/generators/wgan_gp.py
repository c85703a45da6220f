"""The Wasserstein loss with gradient penalty (Gulrajani et al. 2017), shared by several methods."""

from collections.abc import Callable

import torch
from torch import Tensor

from histoforge.training.processes import uniform

TINY = 1e-12


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute E[D(fake)] - E[D(real)]: minus the critic's estimate of the Wasserstein distance, from scores [B]."""
    return fake.mean() - real.mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Compute -E[D(fake)] from scores [B]."""
    return -fake.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Compute E[(||grad_x D(x)||_2 - 1)^2] at points x between each real image and its fake one (eq. 3).

    The norm is computed in float32 at any precision. The gradient of an image's score is taken from the sum of all
    scores, which is the same if the critic scores each image independently.

    Args:
        critic: maps images [B, 3, H, W] to scores [B].
        real: [B, 3, H, W]; row i should have the same class as row i of `fake`.
        fake: [B, 3, H, W], detached.
        rng: draws one uniform position per image between the two.
    """
    position = uniform(len(real), 1, 1, 1, rng=rng)
    between = torch.lerp(fake.detach().float(), real.float(), position).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = gradient.float().square().sum(dim=(1, 2, 3)).add(TINY).sqrt()
    return (norm - 1).square().mean()
