"""Objectives of DCGAN and related methods: two losses from the discriminator's scores of real and fake patches."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from histoforge.generators import wgan_gp
from histoforge.generators.dcgan.network import DcganDiscriminator
from histoforge.patches.device import Batch

StepValues = dict[str, Tensor]
"""Scalars of a step by name, for the history."""


@dataclass(frozen=True)
class DiscriminatorStep:
    """One update of the discriminator.

    Attributes:
        discriminator: the discriminator to update.
        real, fake: the images shown to it, float32 [B, 3, H, W], after any augmentation; fakes are detached.
        real_scores, fake_scores: its scores of them, float32 [B].
        batch: the real patches without augmentation, with their rows and labels.
        samples: the fakes without augmentation, detached.
        rng: random generator for losses that need one.
    """

    discriminator: DcganDiscriminator
    real: Tensor
    fake: Tensor
    real_scores: Tensor
    fake_scores: Tensor
    batch: Batch
    samples: Tensor
    rng: torch.Generator


class Objective(Protocol):
    """The two losses of a GAN."""

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, StepValues]:
        """Compute the discriminator's loss, and further values for the history."""

    def generator(self, fake_scores: Tensor) -> Tensor:
        """Compute the generator's loss from the discriminator's scores of its fakes."""

    def output(self, scores: Tensor) -> Tensor:
        """Return the discriminator's output: D(x) in [0, 1] if it is a probability, otherwise the score."""


class CrossEntropy:
    """DCGAN: L_D = BCE(D(x), t) + BCE(D(G(z)), 0), L_G = -mean log D(G(z)) (Goodfellow et al. 2014, section 3).

    With t below 1 only the labels of real patches are smoothed (Salimans et al. 2016, section 3.4). Each term has its
    own batch, and one step uses the sum of their gradients (Mustafa 2024, section III.D).
    """

    def __init__(self, real_target: float) -> None:
        self.real_target = real_target

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, StepValues]:
        """Compute BCE(D(x), real_target) + BCE(D(G(z)), 0)."""
        return _bce(step.real_scores, self.real_target) + _bce(step.fake_scores, 0.0), {}

    def generator(self, fake_scores: Tensor) -> Tensor:
        """Compute -mean log D(G(z)): cross entropy with the label of real patches, not smoothed."""
        return _bce(fake_scores, 1.0)

    def output(self, scores: Tensor) -> Tensor:
        """Return D(x)."""
        return scores.sigmoid()


class _UnboundedOutput:
    def output(self, scores: Tensor) -> Tensor:
        """Return the scores unchanged: they are unbounded."""
        return scores


class Hinge(_UnboundedOutput):
    """SNGAN: the hinge loss (Miyato et al. 2018, eqs. 16 and 17)."""

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, StepValues]:
        """Compute mean max(0, 1 - D(x)) + mean max(0, 1 + D(G(z)))."""
        return F.relu(1 - step.real_scores).mean() + F.relu(1 + step.fake_scores).mean(), {}

    def generator(self, fake_scores: Tensor) -> Tensor:
        """Compute -mean D(G(z))."""
        return -fake_scores.mean()


class Wasserstein(_UnboundedOutput):
    """WGAN-GP: minus the estimated Wasserstein distance, plus the gradient penalty (Gulrajani et al. 2017, eq. 3).

    With batch normalisation in the critic, which A0-15 assumes for the paper's baseline, the penalty sees gradients
    that depend on the whole batch. The method does not intend this (section 4 of Gulrajani et al.).
    """

    def __init__(self, gp_weight: float) -> None:
        self.gp_weight = gp_weight

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, StepValues]:
        """Compute mean D(G(z)) - mean D(x) + gp_weight * penalty."""
        distance = -wgan_gp.critic_loss(step.real_scores, step.fake_scores)
        penalty = wgan_gp.gradient_penalty(step.discriminator, step.real, step.fake, step.rng)
        return self.gp_weight * penalty - distance, {"wasserstein": distance.detach(), "penalty": penalty.detach()}

    def generator(self, fake_scores: Tensor) -> Tensor:
        """Compute -mean D(G(z))."""
        return wgan_gp.generator_loss(fake_scores)


class LeastSquares(_UnboundedOutput):
    """LSGAN with the labels 0 and 1 (Mao et al. 2017, eq. 9)."""

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, StepValues]:
        """Compute (mean (D(x) - 1)^2 + mean D(G(z))^2) / 2."""
        return ((step.real_scores - 1).square().mean() + step.fake_scores.square().mean()) / 2, {}

    def generator(self, fake_scores: Tensor) -> Tensor:
        """Compute mean (D(G(z)) - 1)^2 / 2."""
        return (fake_scores - 1).square().mean() / 2


def _bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
