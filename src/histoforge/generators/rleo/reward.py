"""The guide's reward in the discriminator's loss (Mustafa 2024, section III.C.2), in the ways that A0-10 tells apart.

Eq. 5 is L_D - reward with reward = 0.3 mean(s), s_i the cosine of a real patch's embedding and a fake one's. Images and
guide are fixed when the discriminator is updated, so for its weights this reward is a constant and eq. 6 the gradient
without it (A0-10). Each function here is a term for the discriminator's loss, minus a reward that may depend on its
logits of the fakes; with D = sigmoid(logit) and the weight w:

    literal      -w mean(s)              eq. 5 to the letter: no gradient
    policy       -w mean(s D)            the expected reward of an agent that accepts a fake with probability D
    soft_target  -w mean(s logit)        with the loss of the fakes, BCE(D, 0), this is BCE(D, w s)
    weighted     -w mean(s BCE(D, 0))    with the loss of the fakes, each has the weight 1 - w s in it
    reinforce    the score function's estimate of policy's gradient
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from histoforge.generators.rleo.config import Pairing, RewardMode
from histoforge.training.processes import mean, uniform

BASELINE_STEPS = 100
"""Steps that the running mean of `reinforce` looks back on."""
NEEDS_ALL: tuple[RewardMode, ...] = ("soft_target", "weighted")
"""Rewards that need the similarity of each fake: targets and weights have bounds that `from_some` does not keep."""


def similarity(real: Tensor, fake: Tensor, pairing: Pairing) -> Tensor:
    """s_i, the cosine of fake i's embedding and that of the real patch that it is paired with, float32 [B] in [0, 1].

    A0-8: the paper does not say which real patch that is. `random` takes the i-th of the batch, `nearest` the most
    alike of the batch.

    Args:
        real: embeddings of the batch's real patches, [B, D], of length 1 and without negative values.
        fake: those of the fakes.
        pairing: 'random' or 'nearest'.
    """
    real, fake = real.float(), fake.float()
    cosines = (real * fake).sum(1) if pairing == "random" else (fake @ real.T).amax(1)
    return cosines.clamp(0, 1)


def from_some(similarities: Tensor, count: int) -> Tensor:
    """Values for all fakes of a batch that stand for their similarities where those of some are known.

    Unknown ones are the mean m of the known, and a known one is m + (count - 1) / (known - 1) (s - m). Each term below
    is linear in the similarities, and averaged over which ones are known it is what it would be from all of them.

    Args:
        similarities: of the first fakes of the batch, [known], at least two unless there is but one in all.
        count: how many fakes the batch has.

    Returns:
        [count]; single values may lie outside [0, 1], so that no target or weight of a fake can be made of them
        (`NEEDS_ALL`).
    """
    known = len(similarities)
    if known == count:
        return similarities
    usual = similarities.mean()
    return torch.cat([usual + (count - 1) / (known - 1) * (similarities - usual), usual.expand(count - known)])


def literal(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """-w mean(s): eq. 4 and 5 as printed; no gradient reaches `logits`."""
    return -weight * similarities.mean()


def policy(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """-w mean(s D): the reward of an accepted fake is w s, of a rejected one 0; eq. 4 where D = 1."""
    return -weight * (similarities * logits.sigmoid()).mean()


def soft_target(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """-w mean(s logit): since BCE(D, t) = softplus(logit) - t logit, fakes then have the target w s instead of 0."""
    return -weight * (similarities * logits).mean()


def weighted(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """-w mean(s BCE(D, 0)): the loss of the fakes becomes mean((1 - w s) BCE(D, 0)) (A0-10, e).

    Adam is indifferent to the scale of a whole loss; what changes is the weight of fakes relative to each other and to
    the real patches.
    """
    return -weight * (similarities * F.softplus(logits)).mean()


def reinforce(logits: Tensor, similarities: Tensor, weight: float, actions: Tensor, baseline: Tensor) -> Tensor:
    """-mean(A log pi(a)), A = w (a s - baseline): over actions a ~ Bernoulli(D) its gradient is on average policy's.

    A fake that is rejected (a = 0) earns nothing, as in `policy`. The baseline does not change the average, since the
    gradient of log pi is 0 on average, and lessens the variance.

    Args:
        logits: of the fakes, [B].
        similarities: s, [B].
        weight: w.
        actions: a, 0 or 1, [B].
        baseline: a scalar that does not depend on `actions`.
    """
    advantage = weight * (actions * similarities - baseline)
    minus_log_pi = F.binary_cross_entropy_with_logits(logits, actions, reduction="none")
    return (advantage * minus_log_pi).mean()


class RewardTerm:
    """What a mode adds to the discriminator's loss; `reinforce` remembers its running mean.

    Args:
        mode: literal, policy, soft_target, weighted or reinforce.
        weight: w, 0.3 in eq. 4.
        rng: draws the actions of `reinforce` and nothing else, on the device of the logits; the other modes draw
            nothing. It is part of the state.
    """

    def __init__(self, mode: RewardMode, weight: float, rng: torch.Generator) -> None:
        self.mode, self.weight, self.rng = mode, weight, rng
        self.baseline = torch.zeros((), device=rng.device)
        self.steps = 0

    def __call__(self, logits: Tensor, similarities: Tensor) -> Tensor:
        """The term, a scalar.

        Args:
            logits: of the fakes, float32 [B].
            similarities: of the same fakes, float32 [B].
        """
        if self.mode == "reinforce":
            return self._reinforce(logits, similarities)
        term = {"literal": literal, "policy": policy, "soft_target": soft_target, "weighted": weighted}[self.mode]
        return term(logits, similarities, self.weight)

    def _reinforce(self, logits: Tensor, similarities: Tensor) -> Tensor:
        actions = (uniform(len(logits), rng=self.rng) < logits.detach().sigmoid()).to(logits.dtype)
        term = reinforce(logits, similarities, self.weight, actions, self.baseline)
        self.steps += 1
        rate = 1 / min(self.steps, BASELINE_STEPS)
        self.baseline = torch.lerp(self.baseline, mean((actions * similarities).mean()), rate)
        return term

    def state_dict(self) -> dict[str, Any]:
        """Return the running mean, how many steps it has seen, and the state of the random numbers."""
        return {"baseline": self.baseline, "steps": self.steps, "rng": self.rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.baseline, self.steps = state["baseline"].to(self.rng.device), state["steps"]
        self.rng.set_state(state["rng"])
