"""The settings of RL-EO; imports nothing heavy."""

from typing import Literal

RewardMode = Literal["literal", "policy", "soft_target", "reinforce"]
Pairing = Literal["random", "nearest"]
