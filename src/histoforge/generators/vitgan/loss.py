"""The losses of the unified ViT cGAN (Li et al., sections III.C and III.D)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.generators.vitgan.config import VitganConfig
from histoforge.training import processes

LIMIT = 4.0
"""Bound on the learned weights s, whose optimum log L has no lower bound (A2-3)."""


class LossWeighing(nn.Module):
    """Learned weights of the class losses of real and of synthetic patches.

    'exp' (eq. 7): exp(-s) L + s. A2-3: Kendall's derivation would give s / 2; the paper's s is kept, and clamped to
    [-4, 4], because the best weight 1 / L grows without bound as L falls. 'log' (Kendall et al. 2018, eq. 7, with
    s = log sigma): L / (2 sigma^2) + log sigma.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.real = nn.Parameter(torch.zeros(()))
        self.synthetic = nn.Parameter(torch.zeros(()))

    def forward(self, real: Tensor, synthetic: Tensor, any_selected: Tensor) -> Tensor:
        """Weigh both losses, scalars.

        Args:
            real: cross entropy of real patches, L1.
            synthetic: that of the selected synthetic patches, L2.
            any_selected: bool scalar; if none was selected, both L2 and its s are left out (A2-4), since the latter
                would otherwise fall for want of a loss.
        """
        terms = self.weight(self.synthetic) * synthetic + self.synthetic
        return self.weight(self.real) * real + self.real + torch.where(any_selected, terms, torch.zeros_like(terms))

    def weight(self, s: Tensor) -> Tensor:
        """Return the factor of a loss."""
        return torch.exp(-s) if self.kind == "exp" else torch.exp(-2 * s) / 2

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep the weights within their bounds after an update."""
        for s in (self.real, self.synthetic):
            s.clamp_(-LIMIT, LIMIT)


@dataclass(frozen=True)
class Selected:
    """The synthetic patches of a batch that enter the class loss.

    Attributes:
        mask: bool [B].
        loss: mean cross entropy of these, scalar; 0 if there are none.
        any: bool scalar, over all processes.
    """

    mask: Tensor
    loss: Tensor
    any: Tensor


def select(config: VitganConfig, logits: Tensor, labels: Tensor, apply: bool = True) -> Selected:
    """Select the synthetic patches of whose class the class head is sure, and compute their cross entropy.

    A2-5: the "prediction value" is the softmax of the unscaled logits for the class that the patch was drawn as; the
    selection itself has no gradient. A2-4: the mean is over the selected patches, not over the batch.

    Args:
        config: the settings.
        logits: f2 of synthetic patches, float32 [B, classes].
        labels: the classes that they were drawn as, int64 [B].
        apply: False selects all of them.
    """
    with torch.no_grad():
        probabilities = logits.softmax(1)
        chosen = probabilities.gather(1, labels[:, None])[:, 0]
        sure = (chosen if config.confidence_of == "class" else probabilities.amax(1)) > config.confidence
        mask = sure if apply else torch.ones_like(sure)
    losses = F.cross_entropy(logits, labels, reduction="none")
    weights, any_selected = _balanced(mask, labels, logits.shape[1]) if config.balanced_selection else _equal(mask)
    return Selected(sure, (losses * mask * weights).sum(), any_selected)


def _equal(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight of each selected patch, the same for all, and whether there are any in all processes."""
    count = processes.mean(mask.sum().float())
    return 1 / count.clamp(min=1e-6), count > 0


def _balanced(mask: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return weights, [B], with the same sum for each class of the batch, and whether each of these was selected."""
    onehot = F.one_hot(labels, classes).float()
    drawn, kept = processes.mean(torch.stack([onehot.sum(0), onehot[mask].sum(0)]))
    complete = ((kept > 0) | (drawn == 0)).all()
    weights = 1 / (kept.clamp(min=1e-6) * (drawn > 0).sum())
    return weights[labels] * complete, complete
