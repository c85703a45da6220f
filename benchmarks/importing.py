"""Import synthetic PNGs as a patch set, against a plain loop over Pillow.

    python benchmarks/importing.py                    # 10,000 PNGs of 96 px
    python benchmarks/importing.py --images 2000 --rounds 5

The loop opens each file with Pillow, converts it to RGB, collects the arrays and saves them as one .npy file. The step
does all that it does for a user: it lists the folder, reads codecs, decodes, writes images and index, and computes all
digests. Both run in turn, with warm file caches; the shortest of each counts. The pictures are drawn tissue.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from timing import fastest_in_turn, surroundings, table

from histoforge.patches import PatchSetWriter
from histoforge.phantom import draw_patches
from histoforge.steps import import_patches
from histoforge.steps.import_patches_config import ImportPatchesConfig

DRAWN = 200


def write_images(folder: Path, count: int, side: int) -> list[str]:
    """Write drawn patches as PNGs into one folder per class, and return the classes."""
    drawn = draw_patches(DRAWN // 2, (side, side), mpp=0.5, patients=4)
    classes = sorted({f"class-{label}" for label in drawn.labels})
    for name in classes:
        (folder / name).mkdir(parents=True)
    for number in range(count):
        turn, row = divmod(number, len(drawn.images))
        image = np.roll(drawn.images[row], turn, axis=1)  # no two files are equal
        Image.fromarray(image).save(folder / f"class-{drawn.labels[row]}" / f"{number:06d}.png")
    return classes


def plain_loop(source: Path, out: Path) -> int:
    """Read all PNGs with Pillow and save them as one array; return their number."""
    files = sorted(source.rglob("*.png"))
    images = []
    for file in files:
        with Image.open(file) as image:
            images.append(np.asarray(image.convert("RGB")))
    np.save(out, np.stack(images))
    return len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        classes = write_images(folder / "images", options.images, options.size)
        with PatchSetWriter.create(folder / "real", classes, (options.size, options.size)) as writer:
            writer.finish({"step": "benchmark"})
        config = ImportPatchesConfig.make({"source": str(folder / "images")})

        def step() -> int:
            summary = import_patches.run(config, patches=folder / "real", synthetic=folder / "synthetic")
            return sum(summary.counts.values())

        results = fastest_in_turn(
            {"plain Pillow loop": lambda: plain_loop(folder / "images", folder / "loop.npy"), "import_patches": step},
            options.rounds,
        )
    assert len({count for _, count in results.values()}) == 1
    times = {name: seconds for name, (seconds, _) in results.items()}
    title = f"{options.images:,} PNGs of {options.size} px"
    print(table(title, "images", options.images, times, "plain Pillow loop"))
    print(surroundings(["numpy", "pillow", "imagecodecs"]))


if __name__ == "__main__":
    main()
