"""Fine-tuning of the last layers only: the other layers keep their initial weights and statistics."""

from itertools import takewhile

from torch import nn

from histoforge.core.errors import SettingsError

WEIGHTED = (nn.Conv2d, nn.Linear)


def freeze_all_but(backbone: nn.Module, trainable_layers: int) -> list[nn.Module]:
    """Freeze all but the last weighted layers of a backbone.

    Weighted layers are convolutions and linear layers, counted from the output in the order in which they are
    registered; a block's shortcut is its last layer. A0-14: "freezing all layers except the last 16 layers. We then
    concatenated a fully connected layer" counts layers before the head is added. The last 16 layers of a ResNet-152 are
    thus the ten of layer4 and the last six of layer3, and the head, whose weights are new, also trains. A batch
    normalisation belongs to the convolution before it and is frozen with it.

    Args:
        backbone: its modules are registered in the order in which they run, as in torchvision; without the head.
        trainable_layers: number of weighted layers that train; 0 trains all.

    Returns:
        The frozen modules. Their parameters take no gradient; their statistics stay fixed only while the caller keeps
        the modules in evaluation mode.

    Raises:
        SettingsError: the backbone has fewer weighted layers.
    """
    own = [module for module in backbone.modules() if next(module.parameters(recurse=False), None) is not None]
    layers = [module for module in own if isinstance(module, WEIGHTED)]
    if trainable_layers > len(layers):
        raise SettingsError(
            f"train_classifier: 'trainable_layers' is {trainable_layers}, and the backbone has {len(layers)} weighted "
            "layers: give at most as many, or 0 for all."
        )
    if not trainable_layers:
        return []
    first = layers[-trainable_layers]
    frozen = list(takewhile(lambda module: module is not first, own))
    for module in frozen:
        module.requires_grad_(False)
    return frozen
