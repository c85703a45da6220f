"""Write synthetic images as slides that `preprocess` reads like real ones."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd

from histoforge import __version__
from histoforge.core.files import atomic_directory, write_json
from histoforge.core.progress import track
from histoforge.patches import PatchSet
from histoforge.slides.pyramid import bands_of, write_pyramid

KIND = "synthetic_slides"


def write_synthetic_slides(path: Path, images: PatchSet | None) -> None:
    """Write a folder with a pyramidal TIFF for each image, and a slides.csv with their classes.

    Each TIFF states its resolution, and its ImageDescription is a JSON object with its class, generator and seed. Each
    image has a patient of its own.

    Args:
        path: the folder.
        images: synthetic images, with their names in the column 'slide'; None writes a folder without slides.

    Raises:
        StorageError: the disk is full or `path` cannot be written; nothing is left behind.
    """
    with atomic_directory(path) as folder:
        with open(folder / "slides.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("slide", "patient", "label"))
            if images is not None:
                table.writerows(images.index[["slide", "patient", "class_name"]].itertuples(index=False))
        if images is not None:
            _write_slides(folder, images)
        digest = None if images is None else images.digest
        write_json(folder / "slides.json", {"kind": KIND, "images": digest, "code_version": __version__})


def _write_slides(folder: Path, images: PatchSet) -> None:
    height, width = images.patch_size
    rows = images.index.to_dict("records")
    for number, row in enumerate(track(rows, "slides", len(rows), "slides")):
        facts = {
            "class": row["class_name"],
            "synthetic": True,
            "method": row["method"],
            "generator": row["generator"],
            "seed": int(row["seed"]),
            "software": f"histoforge {__version__}",
        }
        mpp = None if pd.isna(row["mpp"]) else float(row["mpp"])
        pixels = images.images(np.array([number]))[0]
        write_pyramid(folder / f"{row['slide']}.tiff", (width, height), bands_of(pixels), mpp, json.dumps(facts))
