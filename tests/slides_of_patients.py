"""Patch sets of several patients and slides: a colour per patient, a stripe width per slide, and noise per patch."""

from pathlib import Path

import numpy as np

from histoforge.patches import PatchSet, PatchSetWriter

CLASSES = ["benign", "tumour"]


def slide_patches(patient: int, slide: int, count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Patches of a slide, uint8 [count, size, size, 3]."""
    hue = np.random.default_rng(100 + patient).uniform(60, 200, 3)
    x = np.arange(size) + rng.integers(0, 8, (count, 1))
    wave = (x % (4 + 4 * slide) < 2 + 2 * slide)[:, None, :, None] * 50.0
    spots = rng.normal(0, 25, (count, size // 4, size // 4, 1)).repeat(4, axis=1).repeat(4, axis=2)
    return (hue + wave + spots).clip(0, 255).astype(np.uint8)


def write_patients(
    path: Path,
    patients=(4, 3, 2),
    slides: int = 2,
    patches: int = 6,
    size: int = 16,
    mpp: float | None = 0.5,
    **settings: object,
) -> Path:
    """A patch set with so many patients in train, val and test, and so many patches a slide, cut with `settings`."""
    rng = np.random.default_rng(0)
    number = 0
    with PatchSetWriter.create(path, CLASSES, (size, size), mpp) as writer:
        for split, count in zip(("train", "val", "test"), patients, strict=True):
            for _ in range(count):
                number += 1
                for slide in range(slides):
                    images = slide_patches(number, slide, patches, size, rng)
                    writer.add(images, label=number % 2, patient=f"p{number}", slide=f"s{slide}", split=split, mpp=mpp)
        writer.finish(made_by={"step": "test", "config": settings})
    return path


def open_patients(path: Path, **options) -> PatchSet:
    """`write_patients`, opened."""
    return PatchSet.open(write_patients(path, **options))
