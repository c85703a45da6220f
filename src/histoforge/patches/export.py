"""A patch set as PNG files in one folder per class, with tables, for programs that do not read patch sets."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from PIL import Image

from histoforge.core.progress import Progress
from histoforge.patches.images import Pixels
from histoforge.patches.patchset import PatchSet

LABELS_NAME, COLUMNS_NAME = "labels.csv", "patches.csv"
BATCH = 1024
_UNSAFE = re.compile(r"[^\w. -]|^\.")


def write_images(patches: PatchSet, folder: Path, threads: int) -> None:
    """Write `<class>/<row>.png`, `labels.csv` and `patches.csv` into a folder.

    `labels.csv` has the columns path and label and, of real patches, patient, slide and split, so that `preprocess` and
    other programs read the folder as images with labels. `patches.csv` has the whole index: positions, and of synthetic
    patches the method, the generator's digest, the seed and the scores.

    Args:
        patches: the patch set.
        folder: an existing folder.
        threads: number of threads that encode.
    """
    folders = class_folders(patches.classes)
    paths = [f"{folders[label]}/{row:06d}.png" for row, label in enumerate(patches.labels)]
    for name in folders:
        (folder / name).mkdir()
    with ThreadPoolExecutor(threads) as pool, Progress("export", len(patches), "patches") as progress:
        for start in range(0, len(patches), BATCH):
            rows = slice(start, start + BATCH)
            files = [folder / path for path in paths[rows]]
            list(pool.map(_write_png, files, patches.images(rows)))
            progress.advance(len(files))
    labels = pd.DataFrame({"path": paths, "label": patches.index["class_name"]})
    if not patches.info.synthetic:
        for name in ("patient", "slide", "split"):
            if _is_filled(patches, name):
                labels[name] = patches.index[name]
    labels.to_csv(folder / LABELS_NAME, index=False)
    patches.index.assign(path=paths).to_csv(folder / COLUMNS_NAME, index=False)


def class_folders(classes: Sequence[str]) -> list[str]:
    """Return a folder for each class: its name, with characters replaced that a folder should not have."""
    folders: list[str] = []
    for label, name in enumerate(classes):
        folder = _UNSAFE.sub("_", name)
        taken = {earlier.casefold() for earlier in folders}
        folders.append(f"{label}-{folder}" if folder.casefold() in taken else folder)
    return folders


def _is_filled(patches: PatchSet, column: str) -> bool:
    values = patches.index[column].astype(str)
    return bool((values != "").all()) and (column != "split" or set(values) <= {"train", "val", "test"})


def _write_png(path: Path, pixels: Pixels) -> None:
    Image.fromarray(pixels).save(path)
