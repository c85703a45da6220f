"""A guide with random weights, and a patch set for it, in a moment."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.siamese.guide import METHOD, NORMALISATION, Guide
from histoforge.siamese.network import MftSnn
from histoforge.training.model_files import ModelInfo, save_model

CLASSES = ["benign", "tumour"]
WIDTH = 0.125


def guide_info(classes: list[str] | None = None, size: int = 32, stain: str = "") -> ModelInfo:
    """The description of a tiny guide."""
    config = {"width": WIDTH, "normalisation": NORMALISATION, "stain": stain}
    return ModelInfo(
        kind="guide", method=METHOD, config=config, classes=classes or CLASSES, patch_size=(size, size), mpp=0.5
    )


def random_guide(seed: int = 0, size: int = 32) -> Guide:
    """A guide on the CPU in float32."""
    torch.manual_seed(seed)
    return Guide(guide_info(size=size), MftSnn(WIDTH), torch.device("cpu"), torch.float32)


def save_random_guide(path: Path, classes: list[str] | None = None, size: int = 32, stain: str = "") -> Path:
    """The model directory of a random guide."""
    torch.manual_seed(0)
    save_model(path, guide_info(classes, size, stain), MftSnn(WIDTH).state_dict())
    return path


def noise(count: int, seed: int, size: int = 32) -> NDArray[np.uint8]:
    """Coloured noise of several coarseness, uint8 [count, size, size, 3]: no two patches are alike."""
    rng = np.random.default_rng(seed)
    sides = [size >> (index % 4) for index in range(count)]
    coarse = (rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides)
    return np.stack([tile.repeat(size // len(tile), axis=0).repeat(size // len(tile), axis=1) for tile in coarse])


def write_set(
    path: Path,
    images: NDArray[np.uint8],
    splits: list[str] | None = None,
    synthetic: bool = False,
    stain: str = "",
) -> PatchSet:
    """A patch set of these images, with alternating classes; each split has one patient."""
    count = len(images)
    splits = splits or ["train"] * count
    columns = (
        {"method": "dcgan", "seed": 0}
        if synthetic
        else {"patient": [f"p-{split}" for split in splits], "slide": "s1", "x": np.arange(count) * 32, "mpp": 0.5}
    )
    with PatchSetWriter.create(path, CLASSES, images.shape[1:3], 0.5, synthetic) as writer:
        writer.add(images, label=np.arange(count) % 2, **columns)
        writer.finish({"step": "test", "config": {"stain": stain}}, split=splits)
    return PatchSet.open(path)
