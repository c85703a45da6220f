"""Generators of two levels and sets of large images with random features, and drawn pictures."""

from pathlib import Path

import numpy as np
from made_up import CLASSES
from made_up_scores import make_scores
from PIL import Image

from histoforge.autoencoder.reconstruction import ReconstructionError
from histoforge.evaluation.image_scores import ImageDigests, ImageScores
from histoforge.evaluation.large_images import LargeImageFindings, LargePicture
from histoforge.evaluation.level_scores import LevelScores, OverDraws
from histoforge.metrics.generative import generative_metrics

JUDGE = "resnet18 (baseline, seed 1) bbbb"
GENERATORS = {"stylegan2": 0.8, "vqgan": 0.9, "pathup:none": 0.7, "pathup:prompt": 0.5, "pathup:entropy": 0.3}
DRAWN = {
    "tracking": {"upscaled_by": "tracking", "weights": "paper"},
    "tracking without weight map": {"upscaled_by": "tracking", "weights": "none"},
    "bicubic": {"upscaled_by": "bicubic", "weights": "paper"},
    "bsrgan": {"upscaled_by": "bsrgan", "weights": "paper"},
}


def make_level(level, far, extractor=JUDGE, draws=3, samples=60):
    """Return the scores of draws whose features lie `far` from the real ones."""
    rng = np.random.default_rng([samples, *level.encode()])
    real, held_out = rng.normal(size=(2, samples, 6))
    metrics = [generative_metrics(real, rng.normal(far, 1, (samples, 6)), extractor) for _ in range(draws)]
    return LevelScores.of(level, metrics, generative_metrics(real, held_out, extractor))


def make_generator(name, far, extractors=(JUDGE,), levels=("patch", "overview")):
    """Return the scores of a generator; those of PathUp have a leak probe."""
    leak = {"class_from_image": 0.71, "class_with_prompt": 0.98, "class_by_chance": 0.5}
    scores = make_scores(name, 0, far, classes=tuple(CLASSES))
    rows = [make_level(level, far, extractor) for level in levels for extractor in extractors]
    return scores.model_copy(update={"levels": rows, "figures": leak if name.startswith("pathup") else {}})


def make_images(name, drawing, seams=1.0):
    """Return the scores of a set of large images."""
    return ImageScores(
        name=name,
        drawing=drawing,
        classes=CLASSES,
        image_size=(1024, 1024),
        tile_size=(64, 64),
        images=dict.fromkeys(CLASSES, 30),
        judge=JUDGE,
        levels=[make_level("image", 0.5), make_level("tile", 0.3, samples=200)],
        seams=OverDraws.of([seams, seams + 0.02, None]),
        real_seams=1.01,
        repeated=0.62,
        real_repeated=0.55,
        digests=ImageDigests(images="i", patches="p", generator="g", extractor="e"),
        warnings=[],
    )


def make_large_images(folder: Path, draw=None) -> LargeImageFindings:
    """Return findings with pictures in a folder; `draw(set, class number)` returns a picture, uint8 [H, W, 3]."""
    pictures = []
    for number, class_name in enumerate(CLASSES):
        for name in ("real", *DRAWN):
            path = folder / f"{name}-{number}.png"
            colour = np.full((96, 96, 3), 40 * (number + 1) + 20 * ["real", *DRAWN].index(name), np.uint8)
            Image.fromarray(colour if draw is None else draw(name, number)).save(path)
            pictures.append(LargePicture(path, class_name, name))
    error = {"psnr": 27.31, "ssim": 0.861, "fid": 12.4, "extractor": JUDGE}
    return LargeImageFindings(
        generators=[make_generator(name, far) for name, far in GENERATORS.items()],
        images=[make_images(name, drawing, 1.6 if "without" in name else 1.02) for name, drawing in DRAWN.items()],
        pictures=pictures,
        reconstruction={level: ReconstructionError(images=64, **error) for level in ("patch", "overview")},
        restored={"patch": pictures[0].path},
    )
