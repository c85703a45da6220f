"""Vision transformers (Dosovitskiy et al. 2021). The dropout lies before the last encoder block, on all tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionVisionTransformer

from histoforge.classifiers.backbones.base import StagedBackbone
from histoforge.classifiers.backbones.registry import Stem

HEAD_CHANNELS = 64
STAGES = 4
ENCODERS = {"vit_ti_16": (16, 12, 3), "vit_s_16": (16, 12, 6), "vit_b_16": (16, 12, 12), "vit_l_16": (16, 24, 16)}
"""Size of an image token in px, number of blocks, and number of attention heads.

B and L are the published sizes (Dosovitskiy et al. 2021, Table 1); Ti and S are those of Touvron et al. 2021, Table 1.
"""


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "VisionTransformer":
    """Build the network for patches of one size, whose height and width are multiples of the size of a token."""
    token_size, blocks, heads = ENCODERS[name]
    return VisionTransformer(patch_size, token_size, blocks, max(1, round(width * heads)))


class VisionTransformer(StagedBackbone):
    """A vision transformer without its classification layer, with torchvision's parameter names.

    It has no stages: quarters of its blocks take their place. Activations are those of the image tokens, in their grid,
    and the features are the normalised class token.

    Attributes:
        grid: rows and columns of the image tokens.
    """

    weighted_layers = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)

    def __init__(self, patch_size: tuple[int, int], token_size: int, blocks: int, heads: int) -> None:
        """Build the network with random weights.

        Args:
            patch_size: height and width of a patch, px.
            token_size: height and width of the area of an image token, px.
            blocks: number of encoder blocks.
            heads: number of attention heads, each with 64 channels.
        """
        super().__init__()
        self.channels = heads * HEAD_CHANNELS
        network = TorchvisionVisionTransformer(
            image_size=token_size,
            patch_size=token_size,
            num_layers=blocks,
            num_heads=heads,
            hidden_dim=self.channels,
            mlp_dim=4 * self.channels,
        )
        self.class_token = network.class_token
        self.conv_proj = network.conv_proj
        self.encoder = network.encoder
        self.grid = (patch_size[0] // token_size, patch_size[1] // token_size)
        tokens = 1 + self.grid[0] * self.grid[1]
        self.encoder.pos_embedding = nn.Parameter(torch.empty(1, tokens, self.channels).normal_(std=0.02))

    @property
    def stages(self) -> list[list[nn.Module]]:
        """Four quarters of the encoder blocks."""
        blocks = list(self.encoder.layers)
        size = len(blocks) // STAGES
        return [blocks[start : start + size] for start in range(0, len(blocks), size)]

    def stem(self, images: Tensor) -> Tensor:
        """Compute the tokens, [B, 1 + image tokens, C], with their positions; the first one is the class token."""
        tokens = self.conv_proj(images).flatten(2).transpose(1, 2)
        class_token = self.class_token.to(tokens.dtype).expand(len(images), -1, -1)
        embedded: Tensor = self.encoder.dropout(torch.cat([class_token, tokens], 1) + self.encoder.pos_embedding)
        return embedded

    def feature_map(self, hidden: Tensor) -> Tensor:
        """Arrange the image tokens in their grid, [B, C, rows, columns]."""
        return hidden[:, 1:].transpose(1, 2).unflatten(2, self.grid)

    def pool(self, hidden: Tensor) -> Tensor:
        """Return the normalised class token."""
        normalised: Tensor = self.encoder.ln(hidden)
        return normalised[:, 0].float()

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Interpolate published position embeddings, of a square grid, to the grid of the patches (bicubic)."""
        name = "encoder.pos_embedding"
        embedding = weights.get(name)
        if embedding is None or embedding.ndim != 3 or embedding.shape[1] == self.encoder.pos_embedding.shape[1]:
            return weights
        class_position, positions = embedding[:, :1], embedding[:, 1:].transpose(1, 2)
        side = round(positions.shape[2] ** 0.5)
        square = positions[:, :, : side * side].unflatten(2, (side, side))
        resized = F.interpolate(square, size=self.grid, mode="bicubic", align_corners=True).flatten(2).transpose(1, 2)
        return {**weights, name: torch.cat([class_position, resized], 1)}
