"""Functions for the networks of all methods: device, optimiser, weights, moving average."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from histoforge.core.errors import ModelError
from histoforge.training.ema import EMA
from histoforge.training.engine import Engine
from histoforge.training.model_files import ModelInfo

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


def load_weights(network: Network, state: Mapping[str, Tensor], info: ModelInfo, device: torch.device) -> Network:
    """Load the weights of a model directory, and return the network on the device, in evaluation mode.

    Args:
        network: a network with the settings of `info`.
        state: the weights.
        info: the model's description.
        device: the device.

    Raises:
        ModelError: the weights do not fit the network.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(
            f"The weights of this {info.method} do not fit its model.json ({reason}): train it again."
        ) from None
    return network.to(device).to(memory_format=torch.channels_last).eval()


class GanNetworks:
    """The networks and optimisers of a GAN, which subclasses add, and the moving average of its generator.

    Args:
        generator: on its device.
        ema_decay: decay of the average; 0 for no average.
    """

    def __init__(self, generator: nn.Module, ema_decay: float) -> None:
        self.generator = generator
        self.ema = EMA(generator, ema_decay) if ema_decay else None

    @property
    def averaged(self) -> Any:
        """The generator that is scored and kept: the average if there is one."""
        return self.ema.module if self.ema else self.generator

    def average(self) -> None:
        """Update the average after a step of the generator."""
        if self.ema:
            self.ema.update(self.generator)

    def stateful(self) -> dict[str, Any]:
        """Return the objects whose states a checkpoint stores."""
        return {name: value for name, value in vars(self).items() if hasattr(value, "load_state_dict")}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put the network into evaluation mode within a context, also during training."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Stop gradients for the network's weights, but not for its inputs, within a context."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
