"""Measure how often the search for copies finds planted copies, and how often it accuses innocent sets.

    python benchmarks/copy_audit.py                                    # phantom patches
    python benchmarks/copy_audit.py --folder data/breakhis400x         # a folder with labels.csv (path, patient)

Half of each patient's patches are training patches. Synthetic sets consist of unseen patches of the same patients, of
which a share is replaced by copies of training patches. Innocent sets are such sets without copies, blurred ones,
smooth noise as of an undertrained generator, and glass.
"""

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision.transforms import ColorJitter

from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.registered_copies import Gallery, find_registered_copies
from histoforge.phantom.patches import draw_patches

Pixels = NDArray[np.uint8]
JITTER = 0.07
SHARES = (0.03, 0.1, 0.3)


def shifted(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Shift by 4 pixels along both axes, continued by reflection."""
    y, x = rng.choice([0, 8], 2)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    return padded[y : y + image.shape[0], x : x + image.shape[1]]


def recompressed(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Encode as JPEG with a quality of 75."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer))


def jittered(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue by up to 7%."""
    torch.manual_seed(int(rng.integers(2**31)))
    return np.asarray(ColorJitter(JITTER, JITTER, JITTER, JITTER)(Image.fromarray(image)))


COPIES: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "exact": lambda image, rng: image,
    "mirrored": lambda image, rng: image[:, ::-1],
    "rotated by 90 degrees": lambda image, rng: np.rot90(image),
    "rotated by 180 degrees": lambda image, rng: np.rot90(image, 2),
    "shifted by 4 px": shifted,
    "JPEG 75": recompressed,
    "colour jitter 7%": jittered,
    "rotated by 180 degrees, jitter 7%": lambda image, rng: np.rot90(jittered(image, rng), 2),
}


def innocent_sets(unseen: Pixels, rng: np.random.Generator) -> dict[str, Pixels]:
    """Return sets that contain no copies."""
    noise = [gaussian_filter(rng.normal(size=unseen.shape), (0, sigma, sigma, 0)) for sigma in (1, 3, 8)]
    return {
        "unseen patches of the same patients": unseen,
        "those, blurred": gaussian_filter(unseen, (0, 2, 2, 0)),
        **{
            f"smooth noise, sigma {sigma} px": (170 + 40 * field / field.std()).clip(0, 255).astype(np.uint8)
            for sigma, field in zip((1, 3, 8), noise, strict=True)
        },
        "glass": rng.normal(240, 1.5, unseen.shape).clip(0, 255).astype(np.uint8),
    }


def split_by_halves(patients: NDArray[np.str_], rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Return rows of training and of unseen patches, half of each patient's in both."""
    order = rng.permutation(len(patients))
    order = order[np.argsort(patients[order], kind="stable")]
    return order[::2], order[1::2]


def load(folder: Path | None, side: int) -> tuple[Pixels, NDArray[np.str_]]:
    """Return patches uint8 [N, H, W, 3] and their patients."""
    if folder is None:
        patches = draw_patches(600, (side, side), patients=8)
        return patches.images, patches.patients
    table = pd.read_csv(folder / "labels.csv")
    images = np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path in table["path"]])
    return images, table["patient"].to_numpy(str)


def is_reported(synthetic: Pixels, training: Pixels, gallery: Gallery) -> bool:
    """Return the decision of the audit."""
    pixels = AuditPixels(synthetic, training)
    exact = pixels.with_detail(pixels.exact_copies().of_training)
    return bool(exact) or find_registered_copies(synthetic, gallery).copied


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--side", type=int, default=48, help="patch size of the phantom")
    parser.add_argument("--sets", type=int, default=20, help="number of innocent sets of each kind")
    parser.add_argument("--planted", type=int, default=20, help="number of sets with copies of each kind and share")
    parser.add_argument("--count", type=int, default=160, help="number of synthetic patches")
    parser.add_argument("--training", type=int, default=1000, help="maximum number of training patches")
    arguments = parser.parse_args()
    images, patients = load(arguments.folder, arguments.side)
    found: dict[str, list[bool]] = {}
    seconds = []
    for number in range(arguments.sets):
        rng = np.random.default_rng(number)
        training_rows, unseen_rows = split_by_halves(patients, rng)
        training = images[rng.permutation(training_rows)[: arguments.training]]
        unseen = images[rng.permutation(unseen_rows)[: arguments.count]]
        started = time.perf_counter()
        gallery = Gallery.of(training)
        preparation = time.perf_counter() - started
        sets = innocent_sets(unseen, rng)
        for kind, copy in COPIES.items() if number < arguments.planted else ():
            for share in SHARES:
                synthetic = unseen.copy()
                count = round(share * len(unseen))
                originals = rng.choice(len(training), count, replace=False)
                synthetic[:count] = [copy(training[row], rng) for row in originals]
                sets[f"{share:.0%} {kind}"] = synthetic
        for name, synthetic in sets.items():
            started = time.perf_counter()
            found.setdefault(name, []).append(is_reported(synthetic, training, gallery))
            seconds.append(preparation + time.perf_counter() - started)
    print(f"{len(unseen)} synthetic, {len(training)} training patches of {images.shape[1]} px")
    print(f"median {np.median(seconds):.1f} s per set")
    print("| set | reported |\n| --- | --- |")
    for name, results in found.items():
        print(f"| {name} | {sum(results)} of {len(results)} |")


if __name__ == "__main__":
    main()
