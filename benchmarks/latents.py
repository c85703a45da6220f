"""A training step of PathUp from cached latents, against one that encodes its batch.

    python benchmarks/latents.py                                     # the networks of quickstart, 64 px
    python benchmarks/latents.py --size 128 --clock processor        # on a busy machine, with OMP_NUM_THREADS=1

All are the method's own `train` on random patches, with the same batches and random flips. The loops that encode keep
the patches as uint8 in memory and run the frozen encoder on each batch, without gradients. One of them has float32, as
diffusers' training scripts have unless told otherwise; the other has the precision of the machine, and so shows what
the cache alone is worth. A step's time is the shortest between two ends of a step.
"""

import argparse
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shipped import TimedEngine
from timing import CLOCKS, surroundings, table, use_clock
from torch import Tensor

from histoforge.autoencoder.device import DeviceLatents, LatentBatch
from histoforge.autoencoder.latents import LatentSet, encode_latents
from histoforge.autoencoder.network import Autoencoder
from histoforge.core.settings import load_preset
from histoforge.generators.methods import METHODS
from histoforge.generators.pathup import train as pathup
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches
from histoforge.steps.train_autoencoder_config import TrainAutoencoderConfig
from histoforge.training.device import autocast, resolve_precision
from histoforge.training.flips import flipped
from histoforge.training.model_files import ModelInfo

CLASSES = ["one", "two"]


class EncodedPatches:
    """Training data that encodes the patches of each batch."""

    def __init__(self, patches: PatchSet, autoencoder: Autoencoder, device: torch.device, dtype: torch.dtype) -> None:
        self.images, self.autoencoder = DevicePatches.load(patches, device), autoencoder
        self.device, self.dtype = device, dtype
        self.rng = torch.Generator(device).manual_seed(0)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Tensor) -> LatentBatch:
        """Return the latents of `rows`, flipped at random."""
        batch = self.images.batch(rows)
        with torch.no_grad(), autocast(self.device, self.dtype):
            latents = self.autoencoder.encode(flipped(batch.images, self.rng))
        return LatentBatch(latents[:, None], batch.labels, torch.zeros_like(batch.labels))

    def order(self, rng: torch.Generator, first: int = 0) -> Tensor:
        """Return the rows of a pass from position `first` on."""
        return self.images.order(rng, first)


def write_patches(path: Path, count: int, size: int) -> PatchSet:
    """Write training and validation patches of random pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    with PatchSetWriter.create(path, CLASSES, (size, size), 0.5) as writer:
        for split in ("train", "val"):
            writer.add(pixels, label=np.arange(count) % len(CLASSES), patient=split, split=split)
        writer.finish({"step": "benchmark"})
    return PatchSet.open(path)


def seconds_per_step(config: Any, patches: PatchSet, latents: LatentSet, autoencoder: Autoencoder) -> float:
    """Return the seconds of the fastest step of the method's own training."""
    info = ModelInfo(
        kind="generator", method="pathup", config=config.model_dump(), classes=CLASSES, patch_size=patches.patch_size
    )
    with tempfile.TemporaryDirectory() as work:
        engine = TimedEngine(Path(work), {}, device=config.device, checkpoint_every=0, label="pathup")
        pathup.train(config, patches.split("train"), engine, None, info, latents, autoencoder)
    return min(after - before for before, after in pairwise(engine.ends[:-1]))


def main() -> None:
    """Compare the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quickstart")
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="'processor' on a busy machine, one thread"
    )
    arguments = parser.parse_args()
    use_clock(arguments.clock)
    device = torch.device(arguments.device)
    dtype = resolve_precision("auto", device)
    preset = load_preset(arguments.preset)["train_generator.pathup"]
    steps = {"epochs": 1, "epoch_steps": arguments.rounds + 2, "checkpoint_every": 0, "sampling_steps": 1}
    shown = {"batch_size": arguments.batch, "device": arguments.device, "spatial_levels": "patch", "flips": True}
    config = METHODS["pathup"].config({**preset, **steps, **shown})
    architecture = TrainAutoencoderConfig.make(load_preset(arguments.preset)["train_autoencoder"]).architecture
    autoencoder = Autoencoder(architecture).to(device).to(memory_format=torch.channels_last)
    autoencoder = autoencoder.eval().requires_grad_(False)
    print(f"{surroundings(['torch', 'diffusers'])}; {arguments.clock} time")
    with tempfile.TemporaryDirectory() as folder:
        patches = write_patches(Path(folder) / "patches", arguments.batch, arguments.size)
        info = ModelInfo(kind="autoencoder", method="", config={}, classes=CLASSES, patch_size=patches.patch_size)
        encode_latents(Path(folder) / "latents", autoencoder, info.sealed(), [patches], True, device, dtype)
        latents = LatentSet.open(Path(folder) / "latents")

        def encoded(dtype: torch.dtype) -> Callable[..., EncodedPatches]:
            return lambda *_: EncodedPatches(patches.split("train"), autoencoder, device, dtype)

        times = {}
        for name, data, precision in (
            ("each batch encoded, float32", encoded(torch.float32), "float32"),
            ("each batch encoded", encoded(dtype), "auto"),
            ("cached latents", DeviceLatents, "auto"),
        ):
            pathup.DeviceLatents = data
            settings = config.model_copy(update={"precision": precision})
            times[name] = seconds_per_step(settings, patches, latents, autoencoder)
    title = f"One training step of {arguments.batch} patches of {arguments.size} px, networks of {arguments.preset}"
    print(f"\n{table(title, 'patches', arguments.batch, times, 'each batch encoded, float32')}")


if __name__ == "__main__":
    main()
