"""The settings of RL-EO; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from histoforge.generators.dcgan.config import ImprovedDcganConfig

RewardMode = Literal["literal", "policy", "soft_target", "reinforce"]
Pairing = Literal["random", "nearest"]


class RleoConfig(ImprovedDcganConfig):
    """The improved DCGAN, and a guide's reward in its discriminator's loss (Mustafa 2024, section III.C).

    A0-10: the paper's reward has no gradient (`literal`); `policy` is the reading that has its equations and one.
    Deviation: for a fake of 64 px a VGG-16 costs as much as all the rest of the step, so by default the guide looks at
    a fifth of them.
    """

    reward: RewardMode = Field(
        "policy",
        description="how the guide's similarity enters the discriminator's loss: 'literal' as printed, which changes "
        "nothing but the loss that is shown; 'policy', the expected reward of accepting a fake with D's probability; "
        "'soft_target', fakes have the reward as their target; 'reinforce', policy's gradient by sampled decisions",
    )
    reward_weight: float = Field(0.3, ge=0, le=1, description="weight of the reward (eq. 4)")
    guide_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="share of each batch's fakes that the guide looks at, which its cost is in proportion to; the "
        "reward is estimated from them without bias (1: all of them, as in the paper)",
    )
    pairing: Pairing = Field(
        "random",
        description="the real patch that a fake is compared with: 'random', or the 'nearest' of the batch (A0-8)",
    )
