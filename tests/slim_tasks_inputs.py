"""Inputs for the tasks of the slim image: images, slides, generators of one class each, and unified models."""

from pathlib import Path

import numpy as np
from tiny_study import CLASSES, write_images
from unified_models import save_unified

from histoforge.core.files import write_json
from histoforge.phantom.slides import draw_slides
from histoforge.training.model_files import ModelInfo, save_arrays


def write_inputs(folder: Path) -> None:
    """Write what `components/slim_tasks.py` reads into a folder."""
    write_images(folder / "images", per_class=16, patients=4)
    draw_slides(folder / "slides", patients=4, size_px=512, corrupt=False)
    for name in CLASSES:
        training = {"patches": 4, "steps": 1, "seconds": 1.0, "epochs": 1, "patch_classes": list(CLASSES)}
        info = ModelInfo(
            kind="generator",
            method="dcgan",
            config={},
            classes=[name],
            patch_size=(16, 16),
            training={**training, "by_class": {name: {}}},
        )

        def add_history(folder, name=name):
            (folder / "pictures").mkdir()
            write_json(folder / "history.json", {"by_class": {name: {}}})

        weights = {"0.weight": np.ones((2, 2), np.float32), "0.count": np.array(3)}
        save_arrays(folder / "members" / name, info, weights, add_history)
    for seed in (0, 1):
        save_unified(folder / "unified" / str(seed), seed)
