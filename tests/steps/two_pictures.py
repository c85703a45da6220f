"""A patch set of two pictures, and a HistoGAN small enough to learn it in a test."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from histoforge.classifiers.network import Classifier
from histoforge.patches import PatchSetWriter
from histoforge.training.model_files import ModelInfo, save_model

CLASSES = ["benign", "tumour"]
SETTINGS = {
    "z_dim": 8,
    "up_blocks": 2,
    "stages": 2,
    "base_channels": 32,
    "min_channels": 16,
    "residual_blocks": 1,
    "critic_channels": 16,
    "critic_max_channels": 32,
    "minibatch_kernels": 4,
    "minibatch_dims": 4,
    "batch_size": 8,
    "device": "cpu",
    "checkpoint_every": 3,
}


def pictures() -> np.ndarray:
    """One picture per class: a pale field with a dark disc, and a dark one with a pale stripe; uint8 [2, 16, 16, 3]."""
    y, x = np.mgrid[:16, :16]
    disc = (y - 7) ** 2 + (x - 5) ** 2 < 16
    stripe = abs(y - x) < 3
    first = np.where(disc[..., None], (90, 50, 140), (235, 190, 215))
    second = np.where(stripe[..., None], (230, 160, 190), (110, 60, 120))
    return np.stack([first, second]).astype(np.uint8)


def make_patchset(path: Path, copies: int = 8) -> Path:
    """A patch set with `copies` of each picture, all for training."""
    with PatchSetWriter.create(path, CLASSES, (16, 16), 0.5) as writer:
        for label, picture in enumerate(pictures()):
            writer.add(np.repeat(picture[None], copies, axis=0), label=label, patient=f"p{label}")
        writer.finish({"step": "test"}, split=["train"] * (2 * copies))
    return path


def read_png(path: Path) -> np.ndarray:
    """Pixels of a picture, uint8 [H, W, 3]."""
    with Image.open(path) as image:
        return np.asarray(image)


def make_extractor(path: Path, classes: list[str] = CLASSES) -> Path:
    """A classifier with random weights, whose features are sufficient for choosing an epoch."""
    torch.manual_seed(0)
    config = {"stem": "small", "width": 0.125, "dropout": 0.5, "imagenet_normalisation": False}
    info = ModelInfo(kind="classifier", method="resnet10", config=config, classes=classes, patch_size=(16, 16))
    save_model(path, info, Classifier(info).state_dict())
    return path
