"""The losses of RL-EO: the improved DCGAN's losses minus the guide's reward (Mustafa 2024, eq. 5)."""

from typing import Any, Protocol

import torch
from torch import Tensor

from histoforge.core.progress import Progress
from histoforge.generators.dcgan.objective import CrossEntropy, DiscriminatorStep, StepValues
from histoforge.generators.rleo.config import RleoConfig
from histoforge.generators.rleo.reward import REQUIRE_ALL, RewardTerm, estimate_all, similarity
from histoforge.patches.device import DevicePatches

SHARE_EVERY = 50
"""Number of steps between measurements of the size of the reward's gradient."""
EMBED_AT_ONCE = 256


class Embedder(Protocol):
    """The interface of a guide that the loss uses."""

    def embed(self, images: Tensor) -> Tensor:
        """Compute embeddings [B, D], of length 1 and non-negative, of images float [B, 3, H, W] in [-1, 1]."""


class RewardedCrossEntropy(CrossEntropy):
    """L_D minus the reward; the generator's loss is the improved DCGAN's, without a gradient from the guide.

    The real patches are embedded once, as they are on disk, so the reward ignores their mirroring by `flips`. In each
    update of the discriminator the fakes are embedded in one pass, before any augmentation: the share `guide_share` of
    them, or all of them if the reward is a target or a weight for each fake (`REQUIRE_ALL`).

    Args:
        config: the settings.
        guide: frozen.
        patches: all real patches of the training.
        rng: draws only the decisions of `reinforce`, so that trainings with equal seeds see equal noise whatever their
            reward.
    """

    def __init__(self, config: RleoConfig, guide: Embedder, patches: DevicePatches, rng: torch.Generator) -> None:
        super().__init__(config.real_target)
        self.guide, self.pairing = guide, config.pairing
        self.guide_share = 1.0 if config.reward in REQUIRE_ALL else config.guide_share
        self.term = RewardTerm(config.reward, config.reward_weight, rng)
        self.real = embed_all(guide, patches)
        self.share = torch.zeros((), device=rng.device)
        self.steps = 0

    def discriminator(self, step: DiscriminatorStep) -> tuple[Tensor, StepValues]:
        """Compute BCE(D(x), real_target) + BCE(D(G(z)), 0) minus the reward.

        The values are `similarity`, the mean of s; `reward`, the amount subtracted from the loss; and `gradient_share`,
        the norm of the reward's gradient divided by that of the other terms, for the discriminator's weights, as last
        measured.
        """
        base, values = super().discriminator(step)
        similarities = self._similarities(step)
        term = self.term(step.fake_scores, estimate_all(similarities, len(step.samples)))
        if self.steps % SHARE_EVERY == 0:
            self.share = gradient_share(term, base, list(step.discriminator.parameters()))
        self.steps += 1
        reward_values = {"similarity": similarities.mean(), "reward": -term.detach(), "gradient_share": self.share}
        return base + term, values | reward_values

    def _similarities(self, step: DiscriminatorStep) -> Tensor:
        """Return the similarities of the first fakes, in [0, 1].

        Fakes have no order, so the first ones are a random sample.
        """
        seen = min(len(step.samples), max(2, round(self.guide_share * len(step.samples))))
        real = self.real[step.batch.rows.to(self.real.device)]
        if self.pairing == "random":
            real = real[:seen]
        return similarity(real, self.guide.embed(step.samples[:seen]), self.pairing)

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a checkpoint stores."""
        return {"term": self.term.state_dict(), "share": self.share, "turns": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        self.term.load_state_dict(state["term"])
        self.share, self.steps = state["share"].to(self.share.device), state["turns"]


def embed_all(guide: Embedder, patches: DevicePatches) -> Tensor:
    """Embed all patches on their device, float16 [N, D]: 1 kB per patch, with an error of at most 1 in 2,000."""
    embeddings = []
    with Progress("real patches for the guide", len(patches), "patches") as progress:
        for rows in torch.arange(len(patches)).split(EMBED_AT_ONCE):
            embeddings.append(guide.embed(patches.batch(rows).images).half())
            progress.advance(len(rows))
    return torch.cat(embeddings)


def gradient_share(term: Tensor, base: Tensor, parameters: list[torch.nn.Parameter]) -> Tensor:
    """Return the norm of the gradient of `term` divided by that of `base`; 0 if `term` has no gradient."""
    if not term.requires_grad:
        return torch.zeros_like(term)
    norms = [
        torch.stack(torch._foreach_norm(torch.autograd.grad(loss, parameters, retain_graph=True))).norm()
        for loss in (term, base)
    ]
    return norms[0] / norms[1].clamp_min(torch.finfo(norms[1].dtype).tiny)
