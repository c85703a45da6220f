"""Fine-tuning of the last layers only: the other layers keep their initial weights and statistics."""

from torch import nn

from histoforge.classifiers.backbones.base import Backbone
from histoforge.core.errors import SettingsError


def freeze_all_but(backbone: Backbone, trainable_layers: int) -> list[nn.Module]:
    """Freeze all but the last weighted layers of a backbone.

    Weighted layers are those of the types `backbone.weighted_layers`, such as convolutions and linear layers, counted
    from the output in the order in which they are registered; a block's shortcut is its last layer. A0-14: "freezing
    all layers except the last 16 layers. We then concatenated a fully connected layer" counts layers before the head is
    added. The last 16 layers of a ResNet-152 are thus the ten of layer4 and the last six of layer3, and the head, whose
    weights are new, also trains. A batch normalisation belongs to the convolution registered before it and is frozen
    with it; parameters of a module that contains layers, such as a layer scale or position embeddings, are frozen with
    the first of these layers.

    Args:
        backbone: its modules are registered in the order in which they run; without the head.
        trainable_layers: number of weighted layers that train; 0 trains all that the backbone does not freeze itself.

    Returns:
        The modules whose parameters are all frozen. They take no gradient; their statistics stay fixed only while the
        caller keeps the modules in evaluation mode.

    Raises:
        SettingsError: the backbone has fewer weighted layers.
    """
    modules = list(backbone.modules())
    layers = [module for module in modules if isinstance(module, backbone.weighted_layers)]
    if trainable_layers > len(layers):
        raise SettingsError(
            f"train_classifier: 'trainable_layers' is {trainable_layers}, and the backbone has {len(layers)} weighted "
            "layers: give at most as many, or 0 for all."
        )
    if not trainable_layers:
        return [module for module in modules if _is_frozen(module)]
    positions = {module: position for position, module in enumerate(modules)}
    first_trainable = positions[layers[-trainable_layers]]
    for module in modules:
        inner = next((layer for layer in module.modules() if isinstance(layer, backbone.weighted_layers)), module)
        if positions[inner] < first_trainable:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
    return [module for module in modules if _is_frozen(module)]


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
