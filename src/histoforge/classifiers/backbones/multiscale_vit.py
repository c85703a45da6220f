"""The multi-scale vision transformer of the unified ViT cGAN's discriminator (Li et al., section III.A)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.classifiers.backbones.base import Backbone, Layers, Trunk
from histoforge.classifiers.backbones.registry import Stem
from histoforge.layers.token_attention import Grid
from histoforge.layers.transformer_encoder import TransformerEncoder, initialise

BASE_CHANNELS, HEADS, STAGES = 96, 4, 3
CLASS_TOKEN, SOURCE_TOKEN = 0, 1
TOKENS = 2
"""Number of tokens before those of the image."""


def build(name: str, patch_size: tuple[int, int], stem: Stem, width: float) -> "MultiscaleVit":
    """Build the network; the number in its name is the size in px of a token of the first stage."""
    step = int(name.rpartition("_")[2])
    return MultiscaleVit(patch_size, step, HEADS * max(1, round(width * BASE_CHANNELS / HEADS)))


class MultiscaleVit(Backbone):
    """Three stages of one encoder and average pooling, joined by embeddings of ever larger tokens of the image.

    The first stage sees tokens of p x p px; after each pooling, embeddings of 2p x 2p and of 4p x 4p px are appended to
    the channels, 96, 192 and 384 for a width of 1 (TransGAN's sizes, A2-8). A class and a source token then precede the
    tokens of the image, and one more encoder sees all of them: A2-10, the discriminator has a second such encoder of
    its own for the source. The features are the normalised class token. The dropout lies before the last encoder.

    Args:
        patch_size: height and width, px, multiples of 8 p.
        step: p, px.
        channels: channels of the first stage, a multiple of 4.
    """

    def __init__(self, patch_size: tuple[int, int], step: int, channels: int) -> None:
        """Build the network with random weights."""
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        new = [channels, channels, 2 * channels]
        self.channels, self.steps = widths[-1], [step << stage for stage in range(STAGES)]
        self.grids: list[Grid] = [(patch_size[0] // size, patch_size[1] // size) for size in self.steps]
        self.embeddings = nn.ModuleList(
            nn.Linear(3 * size * size, width) for size, width in zip(self.steps, new, strict=True)
        )
        self.positions = nn.ParameterList(
            torch.empty(1, rows * columns, width).normal_(std=0.02)
            for (rows, columns), width in zip(self.grids, widths, strict=True)
        )
        self.encoders = nn.ModuleList(TransformerEncoder(width, HEADS) for width in widths)
        self.tokens = nn.Parameter(torch.empty(1, TOKENS, self.channels).normal_(std=0.02))
        self.class_encoder = TransformerEncoder(self.channels, HEADS)
        self.norm = nn.LayerNorm(self.channels)
        self.apply(initialise)

    def trunk(self, images: Tensor, layers: Layers) -> Trunk:
        """Run the three stages; a stage is one block."""
        hidden, maps = self._embed(images, 0), []
        for stage, encoder in enumerate(self.encoders):
            if stage:
                hidden = torch.cat([hidden, self._embed(images, stage)], dim=2)
            hidden = encoder(hidden + self.positions[stage])
            pooled = F.avg_pool2d(_as_map(hidden, self.grids[stage]), 2)
            maps.append(pooled)
            hidden = pooled.flatten(2).transpose(1, 2)
        return Trunk(maps, torch.cat([self.tokens.to(hidden.dtype).expand(len(images), -1, -1), hidden], dim=1))

    def tail(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Run the last encoder."""
        hidden = self.class_encoder(hidden)
        rows, columns = self.grids[-1]
        last = _as_map(hidden[:, TOKENS:], (rows // 2, columns // 2))
        return last, self.norm(hidden[:, CLASS_TOKEN]).float()

    def _embed(self, images: Tensor, stage: int) -> Tensor:
        """Embed the tokens of a stage: [B, 3, H, W] to [B, N, C]."""
        cut = F.pixel_unshuffle(images, self.steps[stage])  # [B, 3 p p, H / p, W / p]
        embedded: Tensor = self.embeddings[stage](cut.flatten(2).transpose(1, 2))
        return embedded


def _as_map(tokens: Tensor, grid: Grid) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, grid)
