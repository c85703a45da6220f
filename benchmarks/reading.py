"""A shuffled epoch of small patches onto the device: a patch set against a folder of PNGs with a DataLoader.

    python benchmarks/reading.py                        # 100,000 patches of 64 px
    python benchmarks/reading.py --patches 2000

Both sides contain the same pixels and deliver the same batches: float32 in [-1, 1], [B, 3, H, W], channels_last, on the
device. The first epoch includes everything that precedes it: opening, verifying and reading the patch set, or listing
the folder and starting the workers. The files of both sides are in the page cache because they have just been written.
"""

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timing import surroundings, table, timed
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from histoforge.core.progress import track
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches

CLASSES = ["normal", "tumour"]
BLOCK = 1000


def draw(count: int, size: int, seed: int) -> np.ndarray:
    """Return patches with structure at several scales, which compress like tissue; uint8 [count, size, size, 3]."""
    rng = np.random.default_rng(seed)
    images = np.full((count, size, size, 3), (205.0, 150.0, 190.0), dtype=np.float32)
    for cells, contrast in ((4, 30.0), (16, 20.0), (size, 6.0)):
        coarse = rng.normal(scale=contrast, size=(count, cells, cells, 3)).astype(np.float32)
        images += coarse.repeat(-(-size // cells), axis=1).repeat(-(-size // cells), axis=2)[:, :size, :size]
    return images.clip(0, 255).astype(np.uint8)


def write(folder: Path, count: int, size: int) -> None:
    """Write the same patches as `folder/patches` and as `folder/pngs/CLASS/*.png`."""
    for name in CLASSES:
        (folder / "pngs" / name).mkdir(parents=True)
    starts = range(0, count, BLOCK)
    with PatchSetWriter.create(folder / "patches", CLASSES, (size, size)) as writer:
        for start in track(starts, "drawing patches", total=len(starts), unit="blocks"):
            images = draw(min(BLOCK, count - start), size, seed=start)
            labels = np.arange(start, start + len(images)) % len(CLASSES)
            writer.add(images, label=labels)
            for index, (image, label) in enumerate(zip(images, labels, strict=True), start=start):
                Image.fromarray(image).save(folder / "pngs" / CLASSES[label] / f"{index:07d}.png")
        writer.finish(made_by={"step": "benchmark"})


class FromPatchSet:
    """Epochs from the patch set, read once."""

    def __init__(self, folder: Path, device: torch.device, batch: int) -> None:
        self.folder, self.device, self.batch = folder, device, batch
        self.data: DevicePatches | None = None

    def epoch(self) -> Iterator[Tensor]:
        """Yield the batches of one shuffled epoch."""
        if self.data is None:
            self.data = DevicePatches.load(PatchSet.open(self.folder), self.device)
        for rows in torch.randperm(len(self.data)).split(self.batch):
            yield self.data.batch(rows).images


class FromFolder:
    """Epochs from the folder of PNGs, by torchvision's ImageFolder and a DataLoader."""

    def __init__(self, folder: Path, device: torch.device, batch: int, workers: int) -> None:
        self.folder, self.device, self.batch, self.workers = folder, device, batch, workers
        self.loader: DataLoader[tuple[Tensor, Tensor]] | None = None

    def epoch(self) -> Iterator[Tensor]:
        """Yield the batches of one shuffled epoch."""
        if self.loader is None:
            scale = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
            self.loader = DataLoader(
                ImageFolder(str(self.folder), scale),
                batch_size=self.batch,
                shuffle=True,
                num_workers=self.workers,
                persistent_workers=self.workers > 0,
                pin_memory=self.device.type == "cuda",
            )
        for images, _ in self.loader:
            yield images.to(self.device, memory_format=torch.channels_last, non_blocking=True)


def main() -> None:
    """Measure, and print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2, help="processes of the DataLoader")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, options.patches, options.size)
        sides: dict[str, FromPatchSet | FromFolder] = {
            f"PNG folder, {options.workers} workers": FromFolder(
                folder / "pngs", device, options.batch, options.workers
            ),
            "patch set": FromPatchSet(folder / "patches", device, options.batch),
        }
        print(f"{options.patches:,} patches of {options.size} px, batches of {options.batch}, on {device}\n")
        for title in ("first epoch, with opening", "each further epoch"):
            measured = {name: timed(partial(mean, side)) for name, side in sides.items()}
            torch.testing.assert_close(*(value for _, value in measured.values()), rtol=1e-4, atol=1e-4)
            times = {name: taken for name, (taken, _) in measured.items()}
            print(table(title, "patches", options.patches, times, baseline=next(iter(sides))) + "\n")
    print(surroundings(["torch", "torchvision", "numpy", "pillow"]))


def mean(side: FromPatchSet | FromFolder) -> float:
    """Return the mean over all pixels of an epoch, which reads every batch and lets the two sides be compared."""
    total = torch.zeros((), dtype=torch.float64, device=side.device)
    count = 0
    for images in side.epoch():
        total += images.sum(dtype=torch.float64)
        count += images.numel()
    return float(total) / count


if __name__ == "__main__":
    main()
