"""Tiling: the whole preprocess step against a bare read_region loop, histolab and tiatoolbox, on one core and on two.

    python benchmarks/tiling.py
    python benchmarks/tiling.py --size 4000 --repeats 1                       # a quick look
    python benchmarks/tiling.py --histolab venv-h/bin/python --tiatoolbox venv-t/bin/python

The slide is a JPEG-tiled pyramid as Aperio writes it: a disc of repeated tissue of one slide (`--slide`; without it, of
the real region that lies beside the project, or of a phantom) on empty glass. All sides read it one after the other,
each in a separate process that is pinned to the cores in question, without the time of imports; the median of the
repeats is reported. A rate is megapixels of kept patches per second. The bare loop reads the patches of preprocess,
tiatoolbox those in the tissue mask of preprocess, histolab those in its own mask. Peers that cannot be imported are
skipped with a line; they can be installed in separate environments. (histolab pins a scikit-image without wheels for
Python 3.11; it runs with a newer one, installed by `uv pip install histolab openslide-bin --override FILE`, where FILE
contains the lines `scikit-image>=0.22`, `numpy<2`, `scipy>=1.11`, `pillow>=10` and `openslide-python>=1.3`.)

A patch of empty glass costs a decoder little: a peer whose mask lets much glass pass has a flattering rate (by its own
Otsu mask, tiatoolbox kept 1,126 patches where 612 contain tissue), so that the time of the whole slide is printed too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image
from timing import surroundings

from histoforge.core.progress import say
from histoforge.phantom import draw_slides
from histoforge.slides import PlanSettings, find_tissue, open_slide, patch_scale, plan_patches

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "wsi" / "cmu-1-small-region.svs"
WORKERS = Path(__file__).with_name("tiling_workers.py")
MPP = 0.499
TILE_PX = 240
WINDOW_PX = 1024
DISC = 0.8
GLASS = 243
PEERS = ("histolab", "tiatoolbox")


class Result(NamedTuple):
    """Megapixels of patches per second, and seconds per slide."""

    rate: float
    per_slide: float


def texture(slide: Path | None, workplace: Path) -> np.ndarray:
    """Return the pixels to repeat: the window of a slide that contains most tissue, uint8 [h, w, 3]."""
    if slide is None:
        slide = REAL if REAL.exists() else draw_slides(workplace / "phantom", patients=1, corrupt=False)[0]
    with open_slide(slide) as opened:
        tissue = find_tissue(opened)
        width, height = (min(side, WINDOW_PX) for side in opened.size)
        x, y = (np.arange(0, whole - side + 1, 32) for whole, side in zip(opened.size, (width, height), strict=True))
        positions = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        best = positions[tissue.fractions(positions[:, 0], positions[:, 1], (height, width)).argmax()]
        say(f"tiling: the slide is made of {width} x {height} px of {slide.name}")
        return opened.read(int(best[0]), int(best[1]), 0, width, height)


def tiles(level: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the tiles of a level of `size` px: a disc of repeated tissue on empty glass."""
    glass = np.full((TILE_PX, TILE_PX, 3), GLASS, np.uint8)
    for y in range(0, size, TILE_PX):
        rows = np.arange(y, y + TILE_PX) % level.shape[0]
        for x in range(0, size, TILE_PX):
            away = np.hypot(x + TILE_PX / 2 - size / 2, y + TILE_PX / 2 - size / 2)
            inside = away < DISC * size / 2
            yield level[rows[:, None], np.arange(x, x + TILE_PX) % level.shape[1]] if inside else glass


def make_slide(path: Path, pixels: np.ndarray, size: int) -> None:
    """Write a pyramid of `size` px whose levels shrink by a factor of four, as Aperio's do."""
    with tifffile.TiffWriter(path) as writer:
        for level, shrink in enumerate((1, 4, 16)):
            shrunken = np.asarray(Image.fromarray(pixels).reduce(shrink))
            writer.write(
                tiles(shrunken, size // shrink),
                shape=(size // shrink, size // shrink, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 80},
                subsampling=(2, 2),
                resolution=(1e4 / MPP * shrink,) * 2,
                resolutionunit="CENTIMETER",
                subfiletype=1 if level else 0,
                description=f"Aperio Image Library v11.0.37\n{size}x{size} JPEG/RGB Q=80|AppMag = 20|MPP = {MPP}",
                metadata=None,
            )


def prepare(folder: Path, pixels: np.ndarray, size: int, patch_px: int) -> Path:
    """Write the slide under two names (two classes, two patients), and the positions that preprocess reads."""
    source = folder / "source"
    source.mkdir()
    slide = source / "a.svs"
    make_slide(slide, pixels, size)
    os.link(slide, source / "b.svs")
    (source / "slides.csv").write_text("slide,patient,label\na,p1,normal\nb,p2,tumour\n")
    with open_slide(slide) as opened:
        scale = patch_scale(opened, (patch_px, patch_px), level=0)
        tissue = find_tissue(opened)
        plan = plan_patches(opened, scale, tissue, PlanSettings(), slide_label=0)
    np.save(folder / "mask.npy", tissue.mask)
    np.save(folder / "positions.npy", plan[["x", "y"]].to_numpy())
    say(f"tiling: {size} x {size} px, {slide.stat().st_size / 1e6:.0f} MB, {len(plan)} patches of {patch_px} px")
    return slide


def measure(name: str, python: str, cores: list[int], slide: Path, patch_px: int) -> Result | None:
    """Run once; return None if the peer cannot be imported."""
    command = [python, str(WORKERS), name, str(slide), str(patch_px), str(slide.parent.parent)]
    pin = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    result = subprocess.run([*pin, *command], capture_output=True, text=True, check=False)
    if result.returncode:
        say(f"tiling: {name} failed: {result.stderr.strip().splitlines()[-1]}")
        return None
    answer = json.loads(result.stdout.strip().splitlines()[-1])
    if "missing" in answer:
        say(f"tiling: {name} is left out: {answer['missing']}")
        return None
    return Result(answer["patches"] * patch_px**2 / 1e6 / answer["seconds"], answer["seconds"] / answer["slides"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slide", type=Path, help="slide whose pixels are repeated")
    parser.add_argument("--size", type=int, default=16_000, help="width and height of the slide, px (default 16000)")
    parser.add_argument("--patch", type=int, default=224, help="patch size, px (default 224)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default 3)")
    for peer in PEERS:
        parser.add_argument(f"--{peer}", default=sys.executable, help=f"interpreter that has {peer}")
    options = parser.parse_args()

    usable = sorted(os.sched_getaffinity(0))
    sides = [("bare", sys.executable, 1), ("preprocess", sys.executable, 1)]
    sides += [(peer, getattr(options, peer), 1) for peer in PEERS]
    if len(usable) > 1:
        sides += [("bare", sys.executable, 2), ("preprocess", sys.executable, 2)]
        sides += [(peer, getattr(options, peer), 2) for peer in PEERS]
    results: dict[tuple[str, int], list[Result]] = {}
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        slide = prepare(workplace, texture(options.slide, workplace), options.size, options.patch)
        for _ in range(options.repeats):
            for name, python, cores in sides:
                result = measure(name, python, usable[:cores], slide, options.patch)
                if result is not None:
                    results.setdefault((name, cores), []).append(result)
                    say(f"tiling: {name} on {cores} core(s): {result.rate:.1f} megapixels/s")
    report({side: Result(*map(statistics.median, zip(*runs, strict=True))) for side, runs in results.items()})


def report(results: dict[tuple[str, int], Result]) -> None:
    """Print the table and the ratios as Markdown."""
    bare, alone = results["bare", 1], results["preprocess", 1]
    print(surroundings(["histoforge", "openslide-python", "openslide-bin"]))
    print("\n| | cores | megapixels/s | x bare loop on one core | s per slide |\n| --- | ---: | ---: | ---: | ---: |")
    for (name, cores), (rate, per_slide) in results.items():
        print(f"| {name} | {cores} | {rate:.1f} | {rate / bare.rate:.2f} | {per_slide:.2f} |")
    print(f"\npreprocess / bare loop, one core: {alone.rate / bare.rate:.2f} (aim: 0.85)")
    if ("preprocess", 2) in results:
        both = results["preprocess", 2]
        print(f"preprocess on two cores / bare loop on one: {both.rate / bare.rate:.2f} (aim: 1.8 x 0.85 = 1.53)")
        print(f"preprocess on two cores / on one: {both.rate / alone.rate:.2f}")
    for (name, cores), result in results.items():
        if name in PEERS:
            preprocess = results["preprocess", cores]
            rate, slide = preprocess.rate / result.rate, result.per_slide / preprocess.per_slide
            print(f"preprocess / {name}, {cores} core(s): {rate:.1f} by megapixels, {slide:.1f} by slides (aim: 3)")


if __name__ == "__main__":
    main()
