"""Attention-based deep multiple instance learning over the tiles of an image (ADMIL, Ilse et al. 2018)."""

import torch
from torch import Tensor, nn

from histoforge.classifiers.backbones.base import Backbone, Layers, Trunk, rgb_scaling
from histoforge.classifiers.backbones.registry import Stem, find_backbone
from histoforge.classifiers.backbones.tile_grid import TileGrid
from histoforge.core.errors import SettingsError
from histoforge.core.text import dimensions
from histoforge.layers.gated_attention import GatedAttention

TISSUE_SATURATION = 0.06
"""Saturation above which a pixel is tissue: the lowest threshold of `slides.tissue`, since a tile has no histogram of
a whole slide to choose one by."""


def build(
    name: str,
    patch_size: tuple[int, int],
    stem: Stem,
    width: float,
    tile_size: int,
    tile_overlap: int,
    tile_backbone: str,
    tile_tissue: float,
    attention_branches: int,
) -> "Admil":
    """Build the network for images of one size; `width` is that of the tiles' network.

    Raises:
        SettingsError: an image is smaller than a tile, or no such network can embed the tiles.
    """
    if min(patch_size) < tile_size:
        raise SettingsError(
            f"The backbone '{name}' cuts images into tiles of {tile_size} px, and they have {dimensions(patch_size)} "
            f"px: set tile_size to at most {min(patch_size)}, or preprocess again with a larger patch_size."
        )
    entry = find_backbone(tile_backbone)
    if entry.pools_tiles:
        raise SettingsError(f"tile_backbone={tile_backbone} would cut tiles into tiles: choose another, such as conv4.")
    if not entry.fits((tile_size, tile_size)):
        raise SettingsError(
            f"The network '{tile_backbone}', which embeds tiles, needs a height and width of {entry.required_size}, "
            f"and tile_size is {tile_size}: set another tile_size or tile_backbone."
        )
    encoder = entry.build(tile_backbone, (tile_size, tile_size), {"stem": stem, "width": width})
    return Admil(encoder, TileGrid.covering(patch_size, tile_size, tile_overlap), tile_tissue, attention_branches)


class Admil(Backbone):
    """A bag of tiles, embedded one by one by a common network, and pooled by gated attention.

    z = sum_k a_k h_k, with the weights a_k of `GatedAttention` (Ilse et al. 2018, eq. 7 and 9). The features are z, one
    for each branch. A3-11: the classification layer after them has one output per class and a softmax, in place of the
    single sigmoid of Ilse et al.; one branch serves all classes by default. The dropout lies on the embeddings.

    Tiles without tissue leave the bag: their embedding is 0, by which the pooling recognises them, so that they stay
    away in each Monte Carlo pass. Images enter in [-1, 1], and tiles are scaled to the statistics that the weights of
    their network expect.

    Attributes:
        grid: the tiles.
        encoder: the network that embeds a tile.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    weighted_layers = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)
    scale: Tensor
    shift: Tensor

    def __init__(self, encoder: Backbone, grid: TileGrid, least_tissue: float, branches: int) -> None:
        """Build the network.

        Args:
            encoder: the network that embeds a tile.
            grid: the tiles of an image.
            least_tissue: share of a tile that is tissue, in [0, 1], below which it leaves the bag; 0 keeps every tile.
            branches: number of attention branches.
        """
        super().__init__()
        self.grid, self.least_tissue = grid, least_tissue
        self.encoder = encoder
        self.attention = GatedAttention(encoder.channels, branches)
        self.channels = branches * encoder.channels
        scale, shift = rgb_scaling(encoder.mean, encoder.std)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Embed the tiles; activations of their network are put together as the tiles lie in the image."""
        tiles = torch.cat(self.grid.cut(images))  # [K B, 3, side, side]
        trunk = self.encoder.trunk(tiles * self.scale + self.shift, layers)
        last, embeddings = self.encoder.tail(trunk.hidden)
        if self.least_tissue:
            embeddings = embeddings * (tissue_share(tiles) >= self.least_tissue)[:, None]
        maps = [self._put_together(activation) for activation in (*trunk.maps, last)]
        return Trunk(maps, self._put_together(embeddings[:, :, None, None]))

    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the embeddings; the last activation are the embeddings themselves, [B, C, rows, columns]."""
        weights = self.tile_weights(hidden).flatten(2)
        pooled = (weights[..., None] * _bag(hidden).float()[:, None]).sum(2)  # [B, branches, C]
        return hidden, pooled.flatten(1)

    def tile_weights(self, hidden: Tensor) -> Tensor:
        """Compute the attention weights of the tiles, float32 [B, branches, rows, columns], which sum to 1.

        Args:
            hidden: embeddings of the tiles, [B, C, rows, columns], such as `Trunk.hidden`.
        """
        bag = _bag(hidden)
        weights: Tensor = self.attention(bag, ~bag.any(2) if self.least_tissue else None)
        return weights.unflatten(2, self.grid.shape)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights of the tiles' network under this network's names; the attention keeps its own."""
        published = {f"encoder.{name}": tensor for name, tensor in self.encoder.adapt_weights(weights).items()}
        return published | {f"attention.{name}": tensor for name, tensor in self.attention.state_dict().items()}

    def _put_together(self, activations: Tensor) -> Tensor:
        """Arrange activations of tiles, [K B, C, h, w], in the grid, [B, C, rows h, columns w]."""
        by_tile = activations.unflatten(0, (*self.grid.shape, -1))  # [rows, columns, B, C, h, w]
        return by_tile.permute(2, 3, 0, 4, 1, 5).flatten(4, 5).flatten(2, 3)


def tissue_share(images: Tensor) -> Tensor:
    """Return the share of pixels with the saturation of tissue, float32 [B] in [0, 1], of images in [-1, 1]."""
    rgb = (images.float() + 1) / 2
    high, low = rgb.amax(1), rgb.amin(1)
    return ((high - low) > TISSUE_SATURATION * high).float().mean((1, 2))


def _bag(hidden: Tensor) -> Tensor:
    return hidden.flatten(2).transpose(1, 2)
