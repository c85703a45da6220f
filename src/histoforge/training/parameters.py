"""Number of a network's weights."""

from torch import nn


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights of a network."""
    return sum(weight.numel() for weight in network.parameters())
