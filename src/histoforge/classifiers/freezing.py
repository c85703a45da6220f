"""Fine-tuning of the last layers alone: the others keep the weights and the statistics that they begin with."""

from itertools import takewhile

from torch import nn

from histoforge.core.errors import SettingsError

WEIGHTED = (nn.Conv2d, nn.Linear)


def freeze_all_but(network: nn.Module, trainable_layers: int) -> list[nn.Module]:
    """Keep all but the last weighted layers as they are.

    Weighted layers are convolutions and linear layers, counted from the output in the order in which they are
    registered, a block's shortcut as its last; so the last 16 of a ResNet-152 with its head of two linear layers are
    these, the ten of layer4 and the last four of layer3 (A0-14: "freezing all layers except the last 16 layers"). A
    batch normalisation belongs to the convolution before it, and goes with it.

    Args:
        network: its modules are registered in the order in which they run, as torchvision's are.
        trainable_layers: how many weighted layers train; 0 for all.

    Returns:
        The modules that are now frozen. Their parameters take no gradient; their statistics stay only while the
        caller keeps them in evaluation.

    Raises:
        SettingsError: the network has fewer weighted layers.
    """
    own = [module for module in network.modules() if next(module.parameters(recurse=False), None) is not None]
    layers = [module for module in own if isinstance(module, WEIGHTED)]
    if trainable_layers > len(layers):
        raise SettingsError(
            f"train_classifier: 'trainable_layers' is {trainable_layers}, and the network has {len(layers)} weighted "
            "layers: give at most as many, or 0 for all."
        )
    if not trainable_layers:
        return []
    first = layers[-trainable_layers]
    frozen = list(takewhile(lambda module: module is not first, own))
    for module in frozen:
        module.requires_grad_(False)
    return frozen
