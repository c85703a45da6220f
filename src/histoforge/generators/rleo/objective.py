"""The losses of RL-EO: the improved DCGAN's, less the guide's reward (Mustafa 2024, eq. 5)."""

from typing import Any, Protocol

import torch
from torch import Tensor

from histoforge.core.progress import Progress
from histoforge.generators.dcgan.objective import CrossEntropy, Facts, Turn
from histoforge.generators.rleo.config import RleoConfig
from histoforge.generators.rleo.reward import NEEDS_ALL, RewardTerm, from_some, similarity
from histoforge.patches.device import DevicePatches

SHARE_EVERY = 50
"""Steps between measurements of how large the reward's gradient is."""
EMBED_AT_ONCE = 256


class Embedder(Protocol):
    """What the guide is to the loss."""

    def embed(self, images: Tensor) -> Tensor:
        """Embeddings [B, D], of length 1 and without negative values, of images float [B, 3, H, W] in [-1, 1]."""


class RewardedCrossEntropy(CrossEntropy):
    """L_D less the reward; the generator's loss is the improved DCGAN's, and no gradient comes to it from the guide.

    The real patches are embedded once, as they are on disk: where `flips` mirrors them the reward does not see it. The
    fakes are embedded in each turn of the discriminator, in one pass, as they were drawn, before any augmentation:
    as many as `guide_share` says, or all of them where the reward is a target or a weight of each (`NEEDS_ALL`).

    Args:
        config: the settings.
        guide: frozen.
        patches: all real patches of the training.
        rng: draws the decisions of `reinforce` and nothing else, so that trainings with equal seeds see equal noise
            whatever their reward.
    """

    def __init__(self, config: RleoConfig, guide: Embedder, patches: DevicePatches, rng: torch.Generator) -> None:
        super().__init__(config.real_target)
        self.guide, self.pairing = guide, config.pairing
        self.guide_share = 1.0 if config.reward in NEEDS_ALL else config.guide_share
        self.term = RewardTerm(config.reward, config.reward_weight, rng)
        self.real = embed_all(guide, patches)
        self.share = torch.zeros((), device=rng.device)
        self.turns = 0

    def discriminator(self, turn: Turn) -> tuple[Tensor, Facts]:
        """BCE(D(x), real_target) + BCE(D(G(z)), 0) less the reward.

        The facts are `similarity`, the mean of s; `reward`, what is taken off the loss; and `gradient_share`, the norm
        of the reward's gradient over that of the other terms', for the discriminator's weights, as last measured.
        """
        base, facts = super().discriminator(turn)
        similarities = self._similarities(turn)
        term = self.term(turn.fake_scores, from_some(similarities, len(turn.drawn)))
        if self.turns % SHARE_EVERY == 0:
            self.share = gradient_share(term, base, list(turn.discriminator.parameters()))
        self.turns += 1
        shown = {"similarity": similarities.mean(), "reward": -term.detach(), "gradient_share": self.share}
        return base + term, facts | shown

    def _similarities(self, turn: Turn) -> Tensor:
        """Those of the first fakes, in [0, 1]; fakes are in no order, so these are as good as any."""
        seen = min(len(turn.drawn), max(2, round(self.guide_share * len(turn.drawn))))
        real = self.real[turn.batch.rows.to(self.real.device)]
        if self.pairing == "random":
            real = real[:seen]
        return similarity(real, self.guide.embed(turn.drawn[:seen]), self.pairing)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"term": self.term.state_dict(), "share": self.share, "turns": self.turns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.term.load_state_dict(state["term"])
        self.share, self.turns = state["share"].to(self.share.device), state["turns"]


def embed_all(guide: Embedder, patches: DevicePatches) -> Tensor:
    """Embeddings of all patches on their device, float16 [N, D]: 1 kB a patch, off by at most 1 in 2,000."""
    parts = []
    with Progress("real patches to the guide", len(patches), "patches") as progress:
        for rows in torch.arange(len(patches)).split(EMBED_AT_ONCE):
            parts.append(guide.embed(patches.batch(rows).images).half())
            progress.advance(len(rows))
    return torch.cat(parts)


def gradient_share(term: Tensor, base: Tensor, parameters: list[torch.nn.Parameter]) -> Tensor:
    """Norm of the gradient of `term` over that of `base`; 0 where `term` has none."""
    if not term.requires_grad:
        return torch.zeros_like(term)
    norms = [
        torch.stack(torch._foreach_norm(torch.autograd.grad(loss, parameters, retain_graph=True))).norm()
        for loss in (term, base)
    ]
    return norms[0] / norms[1].clamp_min(torch.finfo(norms[1].dtype).tiny)
