"""The adversarial losses of VQGAN and the weight between them and the reconstruction (section 3.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histoforge.training.processes import mean

DELTA = 1e-6
"""Keeps the quotient of eq. 7 finite."""
LARGEST_WEIGHT = 1e4
"""Limit of the quotient, as in the authors' code."""


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute (E[max(0, 1 - D(x))] + E[max(0, 1 + D(x'))]) / 2 from scores of any shape.

    A3-14: eq. 5 prints the logistic loss; the authors' code has this hinge loss.
    """
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def generator_loss(fake: Tensor) -> Tensor:
    """Compute -E[D(x')] from scores of any shape."""
    return -fake.mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor, last_layer: nn.Parameter) -> Tensor:
    """Compute lambda = ||grad_L reconstruction|| / (||grad_L adversarial|| + delta), eq. 7, float32 [].

    Both terms then pull at the decoder's last layer L with the same force. The weight has no gradient.

    Args:
        reconstruction: the reconstruction loss, with the perceptual term, [].
        adversarial: the generator's loss, [].
        last_layer: L; the losses of all processes together decide.
    """
    norms = [
        mean(torch.autograd.grad(loss, last_layer, retain_graph=True)[0]).norm()
        for loss in (reconstruction, adversarial)
    ]
    return (norms[0] / (norms[1] + DELTA)).clamp(max=LARGEST_WEIGHT)
