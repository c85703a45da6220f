"""The generator of the unified ViT cGAN (Li et al., section III.A)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from histoforge.generators.vitgan.config import CHUNKS, STAGES, VitganConfig
from histoforge.layers.class_projection import ClassProjection
from histoforge.layers.token_attention import Grid, largest_window
from histoforge.layers.transformer_encoder import TransformerEncoder, initialise

GREY = 0.2
"""Factor on the first weights of the colours. With 1, images start as noise in which half of tanh is saturated."""


class VitganGenerator(nn.Module):
    """Draws patches by four stages that each double a map of tokens.

    A linear layer makes the first map, H/16 x W/16 x C, of [z_0, onehot(label)]. Each stage is a class projection with
    its own part of z, an upsampling (bicubic in stage 1, which keeps C; pixel shuffle later, which leaves C/4) and
    transformer encoders. The third and the fourth stage attend in windows (A2-7). A linear layer makes the image of the
    last tokens, as in TransGAN, whose position embeddings at each stage the paper does not mention; tanh bounds it. The
    last tokens are not normalised: of their C/64 channels, which are few, normalisation would take two.

    Without class projection (MedViTGAN), each stage begins with plain layer normalisation, and all of z enters the
    first map.
    """

    def __init__(self, config: VitganConfig, base: Grid, classes: int) -> None:
        super().__init__()
        self.classes, self.z_dim, self.base = classes, config.z_dim, base
        self.channels = [config.generator_channels >> 2 * max(stage - 1, 0) for stage in range(STAGES + 1)]
        chunk = config.z_dim // CHUNKS if config.class_projection else config.z_dim
        self.parts = CHUNKS if config.class_projection else 1
        self.embed = nn.Linear(chunk + classes, base[0] * base[1] * self.channels[0])
        limits = (None, None, config.third_window, config.fourth_window)
        self.stages = nn.ModuleList(
            _Stage(config, number, limit, base, chunk + classes if config.class_projection else 0)
            for number, limit in enumerate(limits, 1)
        )
        self.to_rgb = nn.Linear(self.channels[-1], 3)
        self.apply(initialise)
        nn.init.xavier_uniform_(self.to_rgb.weight, gain=GREY)
        for stage in self.stages:
            if isinstance(stage.projection, ClassProjection):
                stage.projection.reset()

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Draw images.

        Args:
            z: noise, [B, z_dim].
            labels: int64 [B].

        Returns:
            float32 [B, 3, H, W] in [-1, 1], channels_last.
        """
        onehot = F.one_hot(labels, self.classes).to(z.dtype)
        conditions = [torch.cat([part, onehot], dim=1) for part in z.chunk(self.parts, dim=1)]
        tokens = self.embed(conditions[0]).unflatten(1, (-1, self.channels[0]))
        for number, stage in enumerate(self.stages, 1):
            tokens = stage(tokens, conditions[number] if self.parts > 1 else None)
        image = torch.tanh(self.to_rgb(tokens).float())
        return image.unflatten(1, [side << STAGES for side in self.base]).permute(0, 3, 1, 2)


class _Stage(nn.Module):
    """Class projection, upsampling by 2, and encoders."""

    def __init__(self, config: VitganConfig, number: int, limit: int | None, base: Grid, condition: int) -> None:
        super().__init__()
        channels = config.generator_channels >> 2 * max(number - 2, 0)
        self.before: Grid = (base[0] << number - 1, base[1] << number - 1)
        after: Grid = (base[0] << number, base[1] << number)
        self.bicubic = number == 1
        out_channels = channels if self.bicubic else channels // 4
        self.projection = ClassProjection(channels, condition) if condition else nn.LayerNorm(channels)
        self.positions = nn.Parameter(torch.empty(1, after[0] * after[1], out_channels).normal_(std=0.02))
        window = None if limit is None else (largest_window(after[0], limit), largest_window(after[1], limit))
        self.encoders = nn.ModuleList(
            TransformerEncoder(out_channels, config.heads, after, window) for _ in range(config.encoders)
        )

    def forward(self, tokens: Tensor, condition: Tensor | None) -> Tensor:
        """Map [B, N, C] to [B, 4 N, C] (stage 1) or [B, 4 N, C / 4]."""
        tokens = self.projection(tokens) if condition is None else self.projection(tokens, condition)
        x = tokens.transpose(1, 2).unflatten(2, self.before)
        if self.bicubic:
            x = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        else:
            x = F.pixel_shuffle(x, 2)
        tokens = x.flatten(2).transpose(1, 2) + self.positions
        for encoder in self.encoders:
            tokens = encoder(tokens)
        return tokens
