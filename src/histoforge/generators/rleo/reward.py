"""The guide's reward in the discriminator's loss (Mustafa 2024, section III.C.2), in the variants that A0-10 describes.

Eq. 5 is L_D - reward with reward = 0.3 mean(s), where s_i is the cosine of a real patch's and a fake patch's embedding.
Images and guide are fixed when the discriminator is updated, so this reward is a constant with respect to its weights,
and eq. 6 is the gradient without it (A0-10). Each function here is a term for the discriminator's loss: minus a reward
that may depend on its logits of the fakes. With D = sigmoid(logit) and the weight w:

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
"""Number of steps over which `reinforce` takes its running mean."""
REQUIRE_ALL: tuple[RewardMode, ...] = ("soft_target", "weighted")
"""Rewards that need the similarity of each fake: targets and weights have bounds, which `estimate_all` exceeds."""


def similarity(real: Tensor, fake: Tensor, pairing: Pairing) -> Tensor:
    """Return s_i, the cosine of fake i's embedding and that of its paired real patch, float32 [B] in [0, 1].

    A0-8: the paper does not say how patches are paired. `random` takes the i-th real patch of the batch, `nearest` the
    most similar one.

    Args:
        real: embeddings of the batch's real patches, [B, D], of length 1 and without negative values.
        fake: embeddings of the fakes.
        pairing: 'random' or 'nearest'.
    """
    real, fake = real.float(), fake.float()
    cosines = (real * fake).sum(1) if pairing == "random" else (fake @ real.T).amax(1)
    return cosines.clamp(0, 1)


def estimate_all(similarities: Tensor, count: int) -> Tensor:
    """Estimate values for all fakes of a batch from the similarities of some of them.

    Unknown values are the mean m of the known similarities, and a known similarity s becomes
    m + (count - 1) / (known - 1) (s - m). Each term below is linear in the similarities, so on average over the choice
    of known ones it equals the term computed from all of them.

    Args:
        similarities: similarities of the first fakes of the batch, [known], at least two unless the batch has only one.
        count: number of fakes in the batch.

    Returns:
        [count]; single values may lie outside [0, 1], so they cannot serve as a target or weight of a fake
        (`REQUIRE_ALL`).
    """
    scored = len(similarities)
    if scored == count:
        return similarities
    average = similarities.mean()
    spread = (count - 1) / (scored - 1) * (similarities - average)
    return torch.cat([average + spread, average.expand(count - scored)])


def literal(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """Return -w mean(s): eq. 4 and 5 as printed; no gradient reaches `logits`."""
    return -weight * similarities.mean()


def policy(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """Return -w mean(s D): the reward of an accepted fake is w s, of a rejected one 0; eq. 4 where D = 1."""
    return -weight * (similarities * logits.sigmoid()).mean()


def soft_target(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """Return -w mean(s logit): as BCE(D, t) = softplus(logit) - t logit, fakes have the target w s instead of 0."""
    return -weight * (similarities * logits).mean()


def weighted(logits: Tensor, similarities: Tensor, weight: float) -> Tensor:
    """Return -w mean(s BCE(D, 0)): the loss of the fakes becomes mean((1 - w s) BCE(D, 0)) (A0-10, e).

    Adam is invariant to the scale of a whole loss; what changes is the weight of fakes relative to each other and to
    the real patches.
    """
    return -weight * (similarities * F.softplus(logits)).mean()


def reinforce(logits: Tensor, similarities: Tensor, weight: float, actions: Tensor, baseline: Tensor) -> Tensor:
    """Return -mean(A log pi(a)), A = w (a s - baseline), for actions a ~ Bernoulli(D).

    On average its gradient is that of policy. A rejected fake (a = 0) earns nothing, as in `policy`. The baseline does
    not change the average, since the gradient of log pi is 0 on average, and reduces the variance.

    Args:
        logits: logits of the fakes, [B].
        similarities: s, [B].
        weight: w.
        actions: a, 0 or 1, [B].
        baseline: a scalar that does not depend on `actions`.
    """
    advantage = weight * (actions * similarities - baseline)
    minus_log_pi = F.binary_cross_entropy_with_logits(logits, actions, reduction="none")
    return (advantage * minus_log_pi).mean()


class RewardTerm:
    """The term that a mode adds to the discriminator's loss; `reinforce` keeps a running mean.

    Args:
        mode: literal, policy, soft_target, weighted or reinforce.
        weight: w, 0.3 in eq. 4.
        rng: draws only the actions of `reinforce`, on the device of the logits; the other modes draw nothing. It is
            part of the state.
    """

    def __init__(self, mode: RewardMode, weight: float, rng: torch.Generator) -> None:
        self.mode, self.weight, self.rng = mode, weight, rng
        self.baseline = torch.zeros((), device=rng.device)
        self.steps = 0

    def __call__(self, logits: Tensor, similarities: Tensor) -> Tensor:
        """Return the term, a scalar.

        Args:
            logits: logits of the fakes, float32 [B].
            similarities: similarities of the same fakes, float32 [B].
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
        """Return the running mean, the number of steps in it, and the state of the random numbers."""
        return {"baseline": self.baseline, "steps": self.steps, "rng": self.rng.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.baseline, self.steps = state["baseline"].to(self.rng.device), state["steps"]
        self.rng.set_state(state["rng"])
