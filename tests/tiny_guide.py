"""A guide with random weights, made in a moment."""

from pathlib import Path

import torch

from histoforge.siamese.guide import METHOD, NORMALISATION
from histoforge.siamese.network import MftSnn
from histoforge.training.models import ModelInfo, save_model


def write_guide(path: Path, classes, patch_size=(16, 16), mpp=0.5, width=0.125, seed=0, **config):
    """Write a model directory of kind 'guide'; returns its path."""
    torch.manual_seed(seed)
    info = ModelInfo(
        kind="guide",
        method=METHOD,
        config={"width": width, "normalisation": NORMALISATION, **config},
        classes=list(classes),
        patch_size=patch_size,
        mpp=mpp,
    )
    save_model(path, info, MftSnn(width).state_dict())
    return path
