"""Pictures of a generator's patches, as files."""

from pathlib import Path

import numpy as np
from PIL import Image

from histoforge.core.files import atomic_directory, write_json
from histoforge.core.progress import Progress
from histoforge.core.seeds import derive_seed
from histoforge.generators.loading import Generator, draw
from histoforge.patches.export import class_folders
from histoforge.patches.pictures import grid, save_png

DESCRIPTION, CONTACT_SHEET = "pictures.json", "contact_sheet.png"
SHEET_PATCHES, SHEET_COLUMNS = 100, 10


def write_pictures(generator: Generator, label: int, count: int, seed: int, out: Path, batch_size: int) -> None:
    """Draw patches of one class, and write them as PNG files with a contact sheet of the first hundred.

    Args:
        generator: the generator.
        label: the class.
        count: number of pictures.
        seed: seed of the noise; equal seeds and batch sizes give equal pictures.
        out: folder to write: `<class>-<number>.png`, `contact_sheet.png` and `pictures.json`.
        batch_size: number of patches drawn at once.

    Raises:
        StorageError: the folder cannot be written.
    """
    info = generator.info
    name = class_folders(info.classes)[label]
    shown: list[np.ndarray] = []
    with atomic_directory(out) as folder, Progress("generate", count, "pictures") as progress:
        for start in range(0, count, batch_size):
            labels = np.full(min(batch_size, count - start), label, np.int64)
            images = draw(generator, labels, derive_seed(seed, "pictures", label, start), batch_size)
            for number, image in enumerate(images, start + 1):
                Image.fromarray(image).save(folder / f"{name}-{number:06d}.png")
            shown.extend(images[: SHEET_PATCHES - len(shown)])
            progress.advance(len(images))
        save_png(grid(np.stack(shown), SHEET_COLUMNS), folder / CONTACT_SHEET)
        description = {
            "generator": info.digest,
            "method": info.method,
            "class": info.classes[label],
            "count": count,
            "seed": seed,
            "batch_size": batch_size,
            "patch_size": list(info.patch_size),
            "mpp": info.mpp,
        }
        write_json(folder / DESCRIPTION, description)
