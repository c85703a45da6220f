"""HistoGAN's loss: the sum of WGAN-GP losses over all stages (Xue et al. 2021, section 4.2.1)."""

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.generators import wgan_gp
from histoforge.generators.networks import frozen


def at_each_stage(images: Tensor, stages: int) -> list[Tensor]:
    """Resize real images to each stage by averaging over areas: [B, 3, H_s, W_s], the patch size last."""
    levels = [images]
    for _ in range(stages - 1):
        levels.insert(0, F.avg_pool2d(levels[0], 2))
    return levels


def critic_loss(
    critics: nn.ModuleList,
    real: Sequence[Tensor],
    fake: Sequence[Tensor],
    labels: Tensor,
    gp_weight: float,
    rng: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute sum_s E[D_s(fake_s)] - E[D_s(real_s)] + gp_weight GP_s, and its terms.

    Deviations: A4-1, eq. 1 of the paper is background; training is WGAN-GP, and delta is the weight of its penalty.
    A4-2, fake row i has the class of real row i, so that the penalty's points between them have a class. The penalty
    applies to the gradient of each score for its own image, so minibatch discrimination treats the other images as
    constants there. Of the critic's normalisations, only batch normalisation then couples images in the penalty.

    Args:
        critics: one per stage.
        real: images of each stage, [B, 3, H_s, W_s].
        fake: the same, detached.
        labels: labels of both, int64 [B].
        gp_weight: 0 leaves the penalty out.
        rng: draws the points of the penalty.

    Returns:
        The loss, and by name, over all stages: `wasserstein` (the critics' estimate), `penalty` (unweighted) and
            `generator` (the generator's loss under the critics before their update).
    """
    zero = torch.zeros((), device=labels.device)
    distance, penalty, generator = zero, zero, zero
    for critic, real_images, fake_images in zip(critics, real, fake, strict=True):
        real_scores, fake_scores = _scores(critic, real_images, fake_images, labels)
        distance = distance - wgan_gp.critic_loss(real_scores, fake_scores)
        generator = generator + wgan_gp.generator_loss(fake_scores.detach())
        if gp_weight:
            scored = partial(critic, labels=labels, detach_others=True)
            penalty = penalty + wgan_gp.gradient_penalty(scored, real_images, fake_images, rng)
    values = {"wasserstein": distance.detach(), "penalty": penalty.detach(), "generator": generator}
    return gp_weight * penalty - distance, values


def generator_loss(critics: nn.ModuleList, fake: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Compute sum_s -E[D_s(fake_s)], without gradients for the critics' weights."""
    with frozen(critics):
        losses = [wgan_gp.generator_loss(critic(images, labels)) for critic, images in zip(critics, fake, strict=True)]
    return torch.stack(losses).sum()


def _scores(critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Score both, [B] each: in one pass, unless the critic's statistics would mix them."""
    if critic.couples_patches:
        return critic(real, labels), critic(fake, labels)
    scores = critic(torch.cat([real, fake]), labels.repeat(2), batches=2)
    return scores.chunk(2)
