"""Tiny saved pipelines of diffusers, with random weights."""

from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel


def save_ddpm(path: Path, seed=0, size=16, classes=0, **options) -> DDPMPipeline:
    """Save a pipeline that draws images of `size` px, of classes by number unless `classes` is 0, and return it."""
    torch.manual_seed(seed)
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    widths = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    unet = UNet2DModel(sample_size=size, num_class_embeds=classes or None, **blocks, **widths).eval()
    pipeline = DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=20))
    pipeline.save_pretrained(path, **options)
    return pipeline
