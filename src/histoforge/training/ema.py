"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn


class EMA:
    """Maintain `module`, a copy of the trained network with averaged weights.

    w_ema <- decay w_ema + (1 - decay) w, with the warm-up decay_t = min(decay, (1 + t) / (10 + t)) of TensorFlow's
    `ExponentialMovingAverage`, so that early weights are forgotten. Buffers (running statistics) are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.module = copy.deepcopy(network).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average one step towards the weights of `network`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.module.parameters()), list(network.parameters()), 1 - decay)
        for average, current in zip(self.module.buffers(), network.buffers(), strict=True):
            average.copy_(current)

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """Return the average and the number of updates."""
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        """Restore the state from `state_dict`."""
        self.module.load_state_dict(state["module"])
        self.updates = state["updates"]
