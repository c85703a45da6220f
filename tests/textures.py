"""Tiny patch sets of two classes that a small network tells apart in a few steps: fine and coarse stripes."""

from pathlib import Path

import numpy as np

from histoforge.patches import PatchSet, PatchSetWriter

CLASSES = ["coarse", "fine"]


def stripes(labels, size, seed=0):
    """uint8 [N, size, size, 3]: vertical stripes of period 8 px (label 0) or 2 px (label 1), with noise."""
    rng = np.random.default_rng(seed)
    x = np.arange(size)
    period = np.where(np.asarray(labels) == 0, 8, 2)[:, None]
    wave = ((x + rng.integers(0, 8, (len(labels), 1))) % period < period / 2)[:, None, :, None] * 90.0
    noise = rng.normal(80, 12, (len(labels), size, size, 3))
    return (noise + wave).clip(0, 255).astype(np.uint8)


def write_stripes(
    path: Path, train=(24, 16), val=(8, 8), test=(8, 8), size=24, classes=CLASSES, seed=0, mpp=0.5, control=()
):
    """A patch set of stripes with so many patches of each class in each split; open."""
    with PatchSetWriter.create(path, classes, (size, size), mpp) as writer:
        for split, counts in (("train", train), ("val", val), ("test", test), ("control", control)):
            labels = np.repeat(np.arange(len(counts)), counts)
            if len(labels):
                images = stripes(labels, size, seed + len(split))
                writer.add(images, label=labels, patient=f"p-{split}", slide=f"s-{split}", split=split, mpp=mpp)
        writer.finish(made_by={"step": "test"})
    return PatchSet.open(path)
