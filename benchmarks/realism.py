"""Try the check of extractors and the two-sample test on real patches: innocent sets, and planted ones.

    python benchmarks/realism.py                                 # phantom patches
    python benchmarks/realism.py --folder data/breakhis400x      # a folder with labels.csv (path, label, patient)

In each repetition, half of the patients are training patients. A perfect generator is a set of further patches of the
training patients; the planted sets are altered copies of it. Each set is compared with patches of the other patients.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from histoforge.core.seeds import numpy_rng
from histoforge.evaluation.realism import TOLD_APART
from histoforge.metrics.corruptions import blurred, shuffled_pixels, with_noise, with_shifted_colours
from histoforge.metrics.extract import extract_features
from histoforge.metrics.extractor_check import check_extractor
from histoforge.metrics.two_sample import two_sample_test
from histoforge.metrics.untrained import untrained_extractors
from histoforge.phantom import draw_patches

Pixels = NDArray[np.uint8]


def recompressed(images: Pixels) -> Pixels:
    """Encode each patch as JPEG with a quality of 75."""
    copies = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=75)
        copies.append(np.asarray(Image.open(buffer)))
    return np.stack(copies)


def planted_sets(images: Pixels, rng: np.random.Generator) -> dict[str, Pixels]:
    """Return the patches of a perfect generator, and altered copies of them."""
    return {
        "perfect generator": images,
        "colours shifted by 5 grey levels": with_shifted_colours(images, rng, 5),
        "colours shifted by 30 grey levels": with_shifted_colours(images, rng, 30),
        "noise of 3 grey levels": with_noise(images, rng, 3),
        "JPEG 75": recompressed(images),
        "blur of 0.5 px": blurred(images, 0.5),
        "blur of 2 px": blurred(images, 2),
        "shuffled pixels": shuffled_pixels(images, rng),
    }


def load(folder: Path | None, side: int, count: int) -> tuple[Pixels, NDArray[np.int64], NDArray[np.object_]]:
    """Return patches uint8 [N, H, W, 3], their classes int64 [N], and their patients [N]."""
    if folder is None:
        drawn = draw_patches(count // 2, (side, side), mpp=1.0, patients=20)
        return drawn.images, drawn.labels, drawn.patients.astype(object)
    table = pd.read_csv(folder / "labels.csv", dtype=str).sample(frac=1, random_state=0)[:count]
    images = np.stack([np.asarray(Image.open(folder / path).convert("RGB")) for path in table["path"]])
    return images, pd.factorize(table["label"])[0].astype(np.int64), table["patient"].to_numpy(object)


def halves(patients: NDArray[np.object_], rng: np.random.Generator) -> Sequence[NDArray[np.int64]]:
    """Return rows of training patches, of further patches of the same patients, and of the other patients."""
    names = rng.permutation(np.unique(patients))
    training = np.isin(patients, names[: len(names) // 2])
    rows = rng.permutation(np.flatnonzero(training))
    return rows[::2], rows[1::2], np.flatnonzero(~training)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--side", type=int, default=48, help="patch size of the phantom")
    parser.add_argument("--count", type=int, default=800, help="maximum number of patches")
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    images, labels, patients = load(arguments.folder, arguments.side, arguments.count)
    failures: dict[str, list[str]] = {}
    aucs: dict[str, list[float]] = {}
    for number in range(arguments.repeats):
        rng = numpy_rng(number, "realism")
        train, further, held_out = halves(patients, rng)
        extractors = untrained_extractors(images[train])
        for extractor in extractors:
            check = check_extractor(extractor, images[held_out], seed=number)
            failures.setdefault(extractor.name, []).extend(filter(None, [check.text if check else ""]))

        def features(pixels: Pixels, using: Sequence = extractors) -> NDArray[np.float32]:
            return np.concatenate([extract_features(each, pixels) for each in using], axis=1)

        real = features(images[held_out])
        for name, pixels in planted_sets(images[further], rng).items():
            classes = labels[further], labels[held_out]
            test = two_sample_test(features(pixels), real, patients[held_out], classes=classes, seed=number)
            if test is not None:
                aucs.setdefault(name, []).append(test.auc)
    print(f"{len(images)} patches of {images.shape[1]} px, {len(np.unique(patients))} patients")
    for name, texts in failures.items():
        print(f"{name}: {len(texts)} of {arguments.repeats} checks failed", *sorted(set(texts)), sep="\n  ")
    print(f"| set | median AUC | range | {TOLD_APART} or more |\n| --- | --- | --- | --- |")
    for name, values in aucs.items():
        told = f"{sum(value >= TOLD_APART for value in values)} of {len(values)}"
        print(f"| {name} | {np.median(values):.2f} | {min(values):.2f} to {max(values):.2f} | {told} |")


if __name__ == "__main__":
    main()
