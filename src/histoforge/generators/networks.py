"""What the networks of all methods need: their place on the device, their optimiser, their size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from torch import nn

from histoforge.training.engine import Engine

Network = TypeVar("Network", bound=nn.Module)


class AdamSettings(Protocol):
    """The settings of Adam, as methods that train with it have them."""

    @property
    def learning_rate(self) -> float: ...

    @property
    def beta1(self) -> float: ...

    @property
    def beta2(self) -> float: ...


def placed(network: Network, engine: Engine) -> Network:
    """The network on the training's device, its maps channels_last."""
    return network.to(engine.device).to(memory_format=torch.channels_last)


def adam(network: nn.Module, config: AdamSettings) -> torch.optim.Adam:
    """Adam, fused, with the learning rate and the betas of the settings."""
    return torch.optim.Adam(
        network.parameters(), config.learning_rate, betas=(config.beta1, config.beta2), eps=1e-8, fused=True
    )


def weights(network: nn.Module) -> int:
    """How many weights it has."""
    return sum(p.numel() for p in network.parameters())


@contextmanager
def fixed(network: nn.Module) -> Iterator[None]:
    """A context in which the network's weights get no gradients; what goes through it does."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
