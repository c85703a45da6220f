"""Patch sets of large images: noise, with or without visible borders of windows."""

import numpy as np
from scoring_parts import CLASSES, SIDE

from histoforge.patches import PatchSetWriter

IMAGE_SIDE = 3 * SIDE
BORDERS = {"rows": [SIDE, 2 * SIDE], "columns": [SIDE, 2 * SIDE], "grid": 4}


def write_images(path, per_class, seam=0, synthetic=True, classes=CLASSES, side=IMAGE_SIDE):
    """Write noise with steps of `seam` grey levels across the borders of windows."""
    rng = np.random.default_rng(per_class)
    step = seam * ((np.arange(side) // SIDE) % 2)
    with PatchSetWriter.create(path, classes, (side, side), mpp=0.5, synthetic=synthetic) as writer:
        for label in range(len(classes)):
            for number in range(per_class):
                noise = (
                    rng.normal((80, 170)[label % 2], 20, (1, side, side, 3)) + (step[:, None] + step)[None, ..., None]
                )
                name = f"{classes[label]}{number}"
                split = "" if synthetic else ("train", "train", "val", "test")[number % 4]
                kept = {"split": split} if split else {}
                writer.add(noise.clip(0, 255).astype(np.uint8), label=label, patient=name, slide=name, **kept)
        writer.finish({"step": "synthesise_images", "upscaled_by": "tracking", "borders": BORDERS})
    return path
