"""Functions for the networks of all methods: device, optimiser, freezing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import nn

from histoforge.training.engine import Engine

Network = TypeVar("Network", bound=nn.Module)


class AdamSettings(Protocol):
    """The settings of Adam in the settings of a method."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def beta1(self) -> float: ...

    @property
    def beta2(self) -> float: ...


def to_device(network: Network, engine: Engine) -> Network:
    """Move the network to the training's device, with its maps channels_last."""
    return network.to(engine.device).to(memory_format=torch.channels_last)


def adam(network: nn.Module, config: AdamSettings) -> torch.optim.Adam:
    """Return fused Adam with the learning rate and the betas of the settings."""
    return torch.optim.Adam(
        network.parameters(), config.learning_rate, betas=(config.beta1, config.beta2), eps=1e-8, fused=True
    )


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Stop gradients for the network's weights, but not for its inputs, within a context."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
