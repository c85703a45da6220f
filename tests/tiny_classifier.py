"""A classifier with random weights, for tests that need predictions but not good ones."""

from pathlib import Path

import torch

from histoforge.classifiers.network import Classifier
from histoforge.training.model_files import ModelInfo, save_model

CONFIG = {"stem": "small", "width": 0.125, "dropout": 0.5, "imagenet_normalisation": False}


def save_classifier(
    path: Path, classes: list[str], size: int = 48, mpp: float | None = 1.0, **training: object
) -> ModelInfo:
    """Save a classifier of patches of `size` px, whose training record is `training`."""
    torch.manual_seed(0)
    info = ModelInfo(
        kind="classifier",
        method="resnet10",
        config=CONFIG,
        classes=classes,
        patch_size=(size, size),
        mpp=mpp,
        training=training,
    )
    return save_model(path, info, Classifier(info).state_dict())
