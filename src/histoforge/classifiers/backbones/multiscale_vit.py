"""The multi-scale vision transformer of the unified ViT cGAN's discriminator (Li et al., section III.A)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.classifiers.backbones.base import Backbone, Layers, Trunk
from histoforge.classifiers.backbones.registry import Stem
from histoforge.layers.token_attention import Grid
from histoforge.layers.transformer_encoder import TransformerEncoder, initialise

BASE_CHANNELS, HEADS = 96, 4
CLASS_TOKEN, SOURCE_TOKEN = 0, 1
TOKENS = 2
"""Number of tokens before those of the image."""


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "MultiscaleVit":
    """Build the network; the number in its name is the size in px of a token of the first stage."""
    step, heads = int(name.rpartition("_")[2]), max(1, round(width * HEADS))
    return MultiscaleVit(patch_size, step, heads * max(1, round(width * BASE_CHANNELS / heads)), heads)


class MultiscaleVit(Backbone):
    """Three stages of one encoder and average pooling, joined by embeddings of ever larger tokens of the image.

    The first stage sees tokens of p x p px; after each pooling, embeddings of 2p x 2p and of 4p x 4p px are appended to
    the channels, 96, 192 and 384 for a width of 1 (TransGAN's sizes, A2-8). A class and a source token then precede the
    tokens of the image, and one more encoder sees all of them: A2-10, the discriminator has a second such encoder of
    its own for the source. The features are the normalised class token. The dropout lies before the last encoder.

    Args:
        patch_size: height and width, px, multiples of 8 p.
        step: p, px.
        channels: channels of the first stage, a multiple of `heads`.
        heads: attention heads of each encoder; a narrower network has fewer of them, with as many channels each.
    """

    def __init__(self, patch_size: tuple[int, int], step: int, channels: int, heads: int) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.channels, self.heads = 4 * channels, heads
        new = (channels, channels, 2 * channels)
        self.stages = nn.ModuleList(
            _Stage(patch_size, step << stage, embedded, channels << stage, heads) for stage, embedded in enumerate(new)
        )
        side = 8 * step
        self.last_grid: Grid = (patch_size[0] // side, patch_size[1] // side)
        self.tokens = nn.Parameter(torch.empty(1, TOKENS, self.channels).normal_(std=0.02))
        self.class_encoder = TransformerEncoder(self.channels, heads)
        self.norm = nn.LayerNorm(self.channels)
        self.apply(initialise)

    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Run the three stages; a stage is one block."""
        hidden: Tensor | None = None
        maps = []
        for stage in self.stages:
            pooled = stage(images, hidden)
            maps.append(pooled)
            hidden = pooled.flatten(2).transpose(1, 2)
        assert hidden is not None, "there are stages"
        return Trunk(maps, torch.cat([self.tokens.to(hidden.dtype).expand(len(images), -1, -1), hidden], dim=1))

    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run the last encoder."""
        hidden = self.class_encoder(hidden)
        last = _as_map(hidden[:, TOKENS:], self.last_grid)
        return last, self.norm(hidden[:, CLASS_TOKEN]).float()


class _Stage(nn.Module):
    """Embeddings of the image's tokens, joined to those of the stage before, one encoder, and average pooling.

    Attributes:
        grid: rows and columns of the tokens.
    """

    def __init__(self, patch_size: tuple[int, int], step: int, embedded: int, channels: int, heads: int) -> None:
        super().__init__()
        self.step = step
        self.grid: Grid = (patch_size[0] // step, patch_size[1] // step)
        self.embedding = nn.Linear(3 * step * step, embedded)
        self.positions = nn.Parameter(torch.empty(1, self.grid[0] * self.grid[1], channels).normal_(std=0.02))
        self.encoder = TransformerEncoder(channels, heads)

    def forward(self, images: Tensor, before: Tensor | None) -> Tensor:
        """Map images and the tokens of the stage before, [B, N, C'], to a map of half this stage's grid."""
        cut = F.pixel_unshuffle(images, self.step)  # [B, 3 p p, H / p, W / p]
        tokens: Tensor = self.embedding(cut.flatten(2).transpose(1, 2))
        if before is not None:
            tokens = torch.cat([before, tokens], dim=2)
        return F.avg_pool2d(_as_map(self.encoder(tokens + self.positions), self.grid), 2)


def _as_map(tokens: Tensor, grid: Grid) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, grid)
