"""The settings of RL-EO; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from histoforge.generators.dcgan.config import ImprovedDcganConfig

RewardMode = Literal["literal", "policy", "soft_target", "weighted", "reinforce"]
Pairing = Literal["random", "nearest"]

REWARDS: dict[str, str] = {
    "literal": "the paper's formula to the letter, which cannot change a gradient: in effect the unguided GAN",
    "policy": "the expected reward of accepting a fake with probability D: L_D - 0.3 mean(s D)",
    "soft_target": "fakes have the target score 0.3 s instead of 0",
    "weighted": "the loss of each fake has the weight 1 - 0.3 s",
    "reinforce": "policy's gradient, estimated from sampled actions",
}
"""The rewards (A0-10) and their descriptions."""


class RleoConfig(ImprovedDcganConfig):
    """The improved DCGAN with a guide's reward in its discriminator's loss (Mustafa 2024, section III.C).

    A0-10: the paper's reward has no gradient (`literal`); `policy` is the reading that has the paper's equations and a
    gradient. Rewards other than `soft_target` and `weighted` can be estimated from a part of the fakes (`guide_share`),
    which is cheaper and adds noise to their gradient.
    """

    reward: RewardMode = Field(
        "policy",
        description="the guide's reward in the discriminator's loss: 'literal', as printed, which changes only the "
        "reported loss; 'policy', the expected reward of accepting a fake with D's probability; 'soft_target', the "
        "reward is the target of a fake; 'weighted', the loss of a fake has the weight 1 - reward; 'reinforce', "
        "policy's gradient, estimated from sampled decisions",
    )
    reward_weight: float = Field(0.3, ge=0, le=1, description="weight of the reward (eq. 4)")
    guide_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of each batch's fakes that the guide scores (1: all of them, as in the paper), to which its "
        "cost is proportional. The estimate of the reward is unbiased, but its gradient is noisy: by 25% of its norm "
        "at 0.2 in batches of 32. 'soft_target' and 'weighted' always score all",
    )
    pairing: Pairing = Field(
        "random",
        description="the real patch that a fake is compared with: 'random', or the 'nearest' of the batch (A0-8)",
    )
