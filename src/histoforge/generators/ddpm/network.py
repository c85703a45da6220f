"""The U-Net that predicts the noise in an image, or its velocity (Ho et al. 2020, section 4 and appendix B)."""

import math

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from histoforge.generators.ddpm.config import DdpmConfig
from histoforge.generators.ddpm.geometry import check_size
from histoforge.layers.group_norm import use_float32_group_norm


class DenoisingNetwork(nn.Module):
    """Predicts the noise or the velocity of images from the diffusion time and, if configured, the class.

    Each level has two residual blocks; channels double after the first level; self-attention with one head is applied
    at one level and at the bottom. Deviation: Ho et al. apply attention at 16x16; a patch size without such a map uses
    the next smaller one.

    Attributes:
        patch_size: height and width, px.
        prediction: what it predicts.
    """

    def __init__(self, config: DdpmConfig, patch_size: tuple[int, int], classes: int) -> None:
        super().__init__()
        check_size(config, patch_size)
        self.patch_size, self.prediction = patch_size, config.prediction
        attends = [level == attention_level(config, patch_size) for level in range(config.levels)]
        self.unet = UNet2DModel(
            sample_size=patch_size,
            block_out_channels=[config.unet_channels * (2 if level else 1) for level in range(config.levels)],
            layers_per_block=config.level_blocks,
            down_block_types=["AttnDownBlock2D" if attend else "DownBlock2D" for attend in attends],
            up_block_types=["AttnUpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)],
            attention_head_dim=None,
            norm_num_groups=math.gcd(config.unet_channels // 4, 32),
            norm_eps=1e-6,
            dropout=config.dropout,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            num_class_embeds=classes if config.by_label else None,
        )
        use_float32_group_norm(self.unet)

    def forward(self, noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """Predict the noise in images, or their velocity.

        Args:
            noisy: [B, 3, H, W].
            times: int64 [B] or a scalar, from 0.
            labels: int64 [B]; ignored if the network is not conditioned on labels.

        Returns:
            float32 [B, 3, H, W].
        """
        by_label = self.unet.class_embedding is not None
        return self.unet(noisy, times, labels if by_label else None, return_dict=False)[0].float()


def attention_level(config: DdpmConfig, patch_size: tuple[int, int]) -> int | None:
    """Return the first level whose map is at most `attention_size` px per side, or None."""
    fitting = (level for level in range(config.levels) if max(patch_size) >> level <= config.attention_size)
    return next(fitting, None)
