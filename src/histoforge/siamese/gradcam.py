"""Grad-CAM maps of the regions that make a patch similar to another one (Mustafa 2024, Figs. 15 to 17).

Grad-CAM (Selvaraju et al. 2017) is computed with Captum. The paper does not say which score it explains. Here the score
is the agreement of the patch with a reference: the inner product of its pooled features, before they are scaled to
length 1, with the reference's embedding. The cosine itself is unsuitable: its gradient vanishes where both are equal,
so the map of a patch compared with itself, or with a light augmentation, would be noise. At the last convolution the
map is the exact share of each position in the agreement (Stylianou et al. 2019), because the embedding is a mean over
positions.
"""

from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from histoforge.core.progress import Progress
from histoforge.patches.device import to_unit
from histoforge.patches.pictures import attention_overlay, grid, save_png
from histoforge.siamese.guide import Guide
from histoforge.siamese.network import MftSnn

MIN_SIDE = 7
BATCH = 32
PAIRS_PER_ROW = 4


def gradcam(guide: Guide, images: Tensor, reference: Tensor | None = None) -> Tensor:
    """Return a map of how much each position of a patch contributes to its similarity.

    The map is that of the deepest convolution with at least 7 positions per side (the paper names none). VGG-16's last
    convolution has 14 at 224 px, but only 4 at 64 px, where the last one of the fourth block, with 8, is used. The map
    is computed in float32, whatever the guide's precision.

    Args:
        guide: the network to explain.
        images: float [B, 3, H, W] in [-1, 1].
        reference: embeddings of the images that each patch is compared with, [B, D]; None compares each with itself.

    Returns:
        float32 [B, h, w] in [0, 1] on the CPU, 1 at the position that contributes most.
    """
    network = guide.network
    explained = LayerGradCam(lambda batch, target: _agreement(network, batch, target), explained_layer(network, images))
    maps = []
    with torch.enable_grad():
        for rows in torch.arange(len(images)).split(BATCH):
            batch = images[rows].to(guide.device, torch.float32, memory_format=torch.channels_last)
            with torch.no_grad():
                target = network(batch) if reference is None else reference[rows].to(guide.device, torch.float32)
            result = explained.attribute(batch.requires_grad_(), additional_forward_args=target, relu_attributions=True)
            maps.append(result.detach().squeeze(1).float().cpu())
    raw = torch.cat(maps)
    return raw / raw.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


def gradcam_pictures(guide: Guide, images: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG of patches, each with its Grad-CAM in warm colours to its right.

    Args:
        guide: the network to explain.
        images: uint8 [N, H, W, 3].
        path: the file to write.
    """
    overlays = overlaid(guide, images)
    pairs = np.stack([images, overlays], axis=1).reshape(-1, *images.shape[1:])
    save_png(grid(pairs, 2 * min(PAIRS_PER_ROW, len(images))), path)


def overlaid(guide: Guide, images: NDArray[np.uint8], reference: Tensor | None = None) -> NDArray[np.uint8]:
    """Overlay patches with the warm colours of their Grad-CAM; returns uint8 [N, H, W, 3].

    Args:
        guide: the network to explain.
        images: the patches, uint8 [N, H, W, 3].
        reference: as in `gradcam`.
    """
    unit = to_unit(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2))
    with Progress("Grad-CAM", len(images), "patches") as progress:
        maps = gradcam(guide, unit, reference)
        progress.advance(len(images))
    return attention_overlay(images, maps.numpy())


def explained_layer(network: MftSnn, images: Tensor) -> nn.Module:
    """Return the activation whose map is shown: the deepest one with at least `MIN_SIDE` positions per side.

    Args:
        network: the guide's network.
        images: [B, 3, H, W].
    """
    side = min(images.shape[2:])
    layer = network.features[0]
    for index, module in enumerate(network.features):
        if isinstance(module, nn.MaxPool2d):
            side //= 2
            if side < MIN_SIDE:
                return network.features[index - 1]
        layer = module
    return layer


def _agreement(network: MftSnn, images: Tensor, reference: Tensor) -> Tensor:
    """Return the inner product of the pooled features with the reference, [B]."""
    return (network.maps(images).mean(dim=(2, 3)) * reference).sum(1)
