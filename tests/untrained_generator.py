"""A HistoGAN with random weights: selection and scoring need patches, not good ones."""

import torch
from textures import CLASSES

from histoforge.generators.histogan.config import HistoganConfig
from histoforge.generators.histogan.trained import build
from histoforge.training.model_files import ModelInfo, save_model


def save_generator(path, classes=CLASSES, size=32, seed=0):
    """Save a generator of patches of `size` px; return its description."""
    torch.manual_seed(seed)
    config = HistoganConfig(z_dim=8, up_blocks=3, residual_blocks=0, base_channels=8, min_channels=4, stages=1)
    info = ModelInfo(
        kind="generator", method="histogan", config=config.model_dump(), classes=classes, patch_size=(size, size)
    )
    return save_model(path, info, build(config, (size, size), len(classes)).state_dict())
