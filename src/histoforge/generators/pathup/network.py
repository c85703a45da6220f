"""The U-Net of PathUp: diffusers' UNet2DConditionModel on latents, with a learned embedding of the condition."""

import math

import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from histoforge.generators.pathup.conditions import condition_count
from histoforge.generators.pathup.config import PathupConfig
from histoforge.layers.group_norm import use_float32_group_norm

TOKENS = 4
"""Tokens of a condition's embedding; with a single one, cross-attention would be the same in every place."""


class PathupNetwork(nn.Module):
    """Predicts the noise in latents, or the clean latents, from the diffusion time and the condition.

    The U-Net is that of Stable Diffusion (Rombach et al. 2022) in the size of the settings: channels grow to four times
    the first level's, and all levels but the smallest, and the middle block, have transformer blocks.

    Attributes:
        classes: number of classes.
        feature_size: D, the number of values of the middle block's feature.
    """

    def __init__(self, config: PathupConfig, classes: int, latent_channels: int, window: tuple[int, int]) -> None:
        super().__init__()
        self.classes = classes
        channels = [config.unet_channels * min(2**level, 4) for level in range(config.levels)]
        self.feature_size = channels[-1]
        attends = [level < config.levels - 1 for level in range(config.levels)]
        self.unet = UNet2DConditionModel(
            sample_size=window,
            in_channels=latent_channels,
            out_channels=latent_channels,
            block_out_channels=channels,
            layers_per_block=config.level_blocks,
            down_block_types=["CrossAttnDownBlock2D" if attend else "DownBlock2D" for attend in attends],
            up_block_types=["CrossAttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)],
            attention_head_dim=_heads(config.unet_channels),  # diffusers' name for the number of heads
            cross_attention_dim=config.unet_channels,
            norm_num_groups=math.gcd(config.unet_channels // 4, 32),
            dropout=config.dropout,
        )
        self.conditions = nn.Embedding(condition_count(classes) + 1, TOKENS * config.unet_channels)
        use_float32_group_norm(self.unet)

    def forward(self, noisy: Tensor, times: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the noise or the clean latents, and return the feature of the middle block.

        Args:
            noisy: x_t, float [B, C, h, w].
            times: t, from 0 to T - 1, int64 [B].
            conditions: int64 [B], see `conditions`.

        Returns:
            The prediction, float32 [B, C, h, w], and z of eq. 3, float32 [B, D]: the middle block's output, averaged
            over all places and scaled to length 1 (A3-3).
        """
        maps: list[Tensor] = []
        hook = self.unet.mid_block.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
        try:
            tokens = self.conditions(conditions).unflatten(1, (TOKENS, -1))
            prediction = self.unet(noisy, times, tokens, return_dict=False)[0]
        finally:
            hook.remove()
        return prediction.float(), F.normalize(maps[0].float().mean((2, 3)), dim=1)


def _heads(channels: int) -> int:
    """Return the number of attention heads: Stable Diffusion's 8, or fewer, so that each has 32 channels or more."""
    return max((heads for heads in (2, 4, 8) if channels % heads == 0 and channels // heads >= 32), default=1)
