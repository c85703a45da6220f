"""LPIPS with VGG-16 (Zhang et al. 2018), from weights that the user names. Nothing is downloaded."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics.functional.image.lpips import _NoTrainLpips

from histoforge.core.errors import ModelError
from histoforge.core.text import dimensions
from histoforge.training.tensors import first_mismatch

SMALLEST_SIDE = 16


class LpipsDistance:
    """Learned perceptual image patch similarity, version 0.1, as torchmetrics computes it.

    The caller provides the backbone's weights; the five learned heads (a few kB) come with torchmetrics. Images keep
    their size.

    Attributes:
        name: the name in results, with the first digits of the backbone's SHA-256.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], sha256: str, source: str, device: torch.device | str = "cpu"
    ) -> None:
        """Build the network.

        Args:
            weights: tensors of torchvision's VGG-16 by name ('features.0.weight', …); the classification layers are not
                needed.
            sha256: SHA-256 of the file that the weights were read from.
            source: name of that file in messages.

        Raises:
            ModelError: a tensor is missing or has another shape.
        """
        self.name = f"LPIPS-VGG (backbone {sha256[:8]})"
        network = _NoTrainLpips(pretrained=True, net="vgg", pnet_rand=True)
        _fill(network.net, weights, source)
        self._network = network.to(device).requires_grad_(False)

    def between(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances, float32 [B], between images float32 [-1, 1] [B, 3, H, W].

        Raises:
            ModelError: the patches are smaller than 16 px, which leaves nothing for the network's last layer.
        """
        check_size(first.shape[2:])
        with torch.autocast(first.device.type, enabled=False):
            distances: Tensor = self._network(first.float(), second.float())
        return distances.flatten()


def check_size(patch_size: Sequence[int]) -> None:
    """Check that patches of this height and width, px, are large enough for LPIPS.

    Raises:
        ModelError: the patches are too small for the network's last layer.
    """
    if min(patch_size) < SMALLEST_SIDE:
        raise ModelError(
            f"LPIPS needs patches of at least {SMALLEST_SIDE} px, not {dimensions(patch_size)}: leave "
            "lpips_weights out, and the extractor's features are used."
        )


def _fill(backbone: torch.nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy torchvision's tensors into the slices of the network, whose layers keep torchvision's numbering."""
    tensors = {f"features.{name.split('.', 1)[1]}": tensor for name, tensor in backbone.state_dict().items()}
    if problem := first_mismatch(tensors, weights):
        raise ModelError(
            f"The weights {source} are not those of torchvision's VGG-16 ({problem}): give the state_dict of vgg16."
        )
    for name, tensor in tensors.items():
        tensor.copy_(weights[name])
