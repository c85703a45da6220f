"""Measure how often the search for copies finds planted copies, and how often it accuses innocent sets.

    python benchmarks/copy_audit.py                                    # phantom patches
    python benchmarks/copy_audit.py --folder data/breakhis400x         # a folder with labels.csv (path, patient)
    python benchmarks/copy_audit.py --grid --first 1000                # compare bounds of the threshold instead
    python benchmarks/copy_audit.py --folder data/oral224 --divisions 2000    # unseen patches only, many divisions

Half of each patient's patches are training patches. Synthetic sets consist of unseen patches of the same patients, of
which a share is replaced by copies of training patches. Innocent sets are such sets without copies, and sets of smooth
noise as of an undertrained generator; in the sets that are planted also blurred patches and glass. Phantom patients are
new in every set; those of a folder are divided anew. The bounds of the threshold are chosen with `--grid` on other data
than those whose rates are shown. With `--divisions`, all patches of a folder are correlated once with the most
similar ones, and then divided into training and unseen patches many times, which shows the rate of false alarms on
unseen patches, and that of Fisher's exact test on patches beside it.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, fisher_exact
from torchvision.transforms import ColorJitter

from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.coarse_search import CANDIDATES
from histoforge.metrics.registered_copies import ALPHA, BOUNDS, Gallery, Matches, best_matches, judge
from histoforge.metrics.structure import Structure
from histoforge.phantom.patches import draw_patches

Pixels = NDArray[np.uint8]
JITTER = 0.07
SHARES = (0.03, 0.1, 0.3)
SIGMAS = (1, 3, 8)
NEIGHBOURS = 20
GRID = [(low, high) for low in (0.5, 0.6, 0.7) for high in (0.75, 0.85, 0.95)]


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


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Draw noise of one of three scales."""
    sigma = rng.choice(SIGMAS)
    field = gaussian_filter(rng.normal(size=shape), (0, sigma, sigma, 0))
    return (170 + 40 * field / field.std()).clip(0, 255).astype(np.uint8)


def glass(shape: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Draw patches without tissue."""
    return rng.normal(240, 1.5, shape).clip(0, 255).astype(np.uint8)


def split_by_halves(patients: NDArray[np.str_], rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Return rows of training and of unseen patches, half of each patient's in both."""
    order = rng.permutation(len(patients))
    order = order[np.argsort(patients[order], kind="stable")]
    return order[::2], order[1::2]


@dataclass(frozen=True)
class Source:
    """Patches uint8 [N, H, W, 3] with their patients, of a folder or drawn anew for every set."""

    folder: Path | None
    side: int
    patches: int

    @cached_property
    def of_folder(self) -> tuple[Pixels, NDArray[np.str_]]:
        """The patches of the folder."""
        assert self.folder is not None
        table = pd.read_csv(self.folder / "labels.csv")
        images = np.stack([np.asarray(Image.open(self.folder / path).convert("RGB")) for path in table["path"]])
        return images, table["patient"].to_numpy(str)

    def load(self, number: int) -> tuple[Pixels, NDArray[np.str_]]:
        """Return the patches and patients of a set."""
        if self.folder is not None:
            return self.of_folder
        drawn = draw_patches(self.patches // 2, (self.side, self.side), patients=8, seed=number)
        return drawn.images, drawn.patients


@dataclass(frozen=True)
class Searched:
    """A set of synthetic patches after the search.

    Attributes:
        exact: for each patch, whether it has the pixels of a training patch and shows detail, bool [S].
        similarity: highest correlation with a training patch, -1 without detail, float [S].
    """

    exact: NDArray[np.bool_]
    similarity: torch.Tensor

    @classmethod
    def of(cls, images: Pixels, training: Pixels, gallery: Gallery) -> "Searched":
        """Search the patches."""
        pixels = AuditPixels(images, training)
        exact = np.zeros(len(images), bool)
        exact[[row for row, _ in pixels.with_detail(pixels.exact_copies().of_training)]] = True
        structure = Structure.of(images)
        similarity = best_matches(structure, gallery.structure).similarity
        return cls(exact, similarity.where(structure.has_detail, torch.tensor(-1.0)))

    def mixed_with(self, copies: "Searched", count: int) -> "Searched":
        """Replace the first patches by copies."""
        return Searched(
            np.concatenate([copies.exact[:count], self.exact[count:]]),
            torch.cat([copies.similarity[:count], self.similarity[count:]]),
        )

    def is_reported(self, gallery: Gallery, bounds: tuple[float, float]) -> bool:
        """Return the decision of the audit."""
        similarity = self.similarity[self.similarity > -1]
        threshold, p = judge(similarity, gallery, bounds)
        return bool(self.exact.any() or (p < ALPHA and (similarity > threshold).any()))


def search_sets(source: Source, number: int, count: int, training_count: int, planted: bool) -> Iterator:
    """Yield (name, set, gallery) of the innocent and, if `planted`, of the planted sets."""
    rng = np.random.default_rng(number)
    images, patients = source.load(number)
    training_rows, unseen_rows = split_by_halves(patients, rng)
    training = images[rng.permutation(training_rows)[:training_count]]
    unseen = images[rng.permutation(unseen_rows)[:count]]
    gallery = Gallery.of(training)
    innocent = Searched.of(unseen, training, gallery)
    yield "innocent: unseen patches of the same patients", innocent, gallery
    yield "innocent: smooth noise", Searched.of(smooth_noise(unseen.shape, rng), training, gallery), gallery
    if not planted:
        return
    blurred = gaussian_filter(unseen, (0, 2, 2, 0))
    yield "innocent: those, blurred", Searched.of(blurred, training, gallery), gallery
    yield "innocent: glass", Searched.of(glass(unseen.shape, rng), training, gallery), gallery
    for kind, copy in COPIES.items():
        originals = rng.choice(len(training), round(max(SHARES) * len(unseen)), replace=False)
        copies = Searched.of(np.stack([copy(training[row], rng) for row in originals]), training, gallery)
        for share in SHARES:
            yield f"{share:.0%} {kind}", innocent.mixed_with(copies, round(share * len(unseen))), gallery


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--side", type=int, default=48, help="patch size of the phantom")
    parser.add_argument("--first", type=int, default=0, help="number of the first set, its seed")
    parser.add_argument("--sets", type=int, default=185, help="number of innocent sets of each kind")
    parser.add_argument("--planted", type=int, default=30, help="number of sets with copies of each kind and share")
    parser.add_argument("--count", type=int, default=160, help="number of synthetic patches")
    parser.add_argument("--training", type=int, default=300, help="maximum number of training patches")
    parser.add_argument("--grid", action="store_true", help="compare bounds of the threshold")
    parser.add_argument("--divisions", type=int, default=0, help="divide the patches of a folder so many times")
    arguments = parser.parse_args()
    source = Source(arguments.folder, arguments.side, 2 * arguments.training)
    if arguments.divisions:
        print_divisions(source, arguments.divisions, arguments.count, arguments.training)
        return
    grid = GRID if arguments.grid else [BOUNDS]
    found: dict[str, list[list[bool]]] = {}
    started = time.perf_counter()
    for number in range(arguments.sets):
        planted = number < arguments.planted
        sets = search_sets(source, arguments.first + number, arguments.count, arguments.training, planted)
        for name, searched, gallery in sets:
            found.setdefault(name, []).append([searched.is_reported(gallery, bounds) for bounds in grid])
    sizes = f"{len(searched.similarity)} synthetic and {len(gallery.rows)} training patches"
    print(f"{sizes}, {time.perf_counter() - started:.0f} s")
    if arguments.grid:
        print_grid(found)
    else:
        print_rates({name: [values[0] for values in results] for name, results in found.items()})


def correlations(structure: Structure, batch: int = 64) -> torch.Tensor:
    """Return the correlation of each patch with the `NEIGHBOURS` most similar ones, float [N, N], -1 elsewhere."""
    values = torch.full((len(structure),) * 2, -1.0)
    for rows in torch.arange(len(values)).split(batch):
        here, remaining = torch.arange(len(rows)), structure.rows(rows)
        excluded = torch.stack([here, rows], 1)
        for _ in range(NEIGHBOURS // CANDIDATES):
            matches = best_matches(remaining, structure, excluded)
            values[rows, matches.rows] = matches.similarity
            excluded = torch.cat([excluded, torch.stack([here, matches.rows], 1)])
    return torch.maximum(values, values.T)


def print_divisions(source: Source, divisions: int, count: int, training_count: int) -> None:
    """Print how often unseen patches are reported, by pairs and by Fisher's exact test on patches."""
    images, patients = source.load(0)
    structure = Structure.of(images)
    similarity = correlations(structure)
    reported = np.zeros(2, int)
    for number in range(divisions):
        rng = np.random.default_rng(number)
        training, unseen = (torch.from_numpy(rng.permutation(rows)) for rows in split_by_halves(patients, rng))
        training, unseen = training[:training_count], unseen[:count]
        reference = similarity[training][:, training].max(1)
        everything = torch.arange(len(training))
        gallery = Gallery(
            structure.rows(training), training, everything, Matches(reference.values, reference.indices, everything)
        )
        nearest = similarity[unseen][:, training].max(1).values
        threshold, p = judge(nearest, gallery)
        above = [int((values > threshold).sum()) for values in (nearest, reference.values)]
        table = [[above[0], len(nearest) - above[0]], [above[1], len(training) - above[1]]]
        reported += [p < ALPHA, above[0] > 0 and fisher_exact(table, alternative="greater").pvalue < ALPHA]
    print(f"{count} unseen and {training_count} training patches, {divisions} divisions, reported")
    for name, number in zip(("by pairs", "by Fisher's exact test on patches"), reported.tolist(), strict=True):
        low, high = binomtest(number, divisions).proportion_ci()
        print(f"{name}: {number} ({number / divisions:.1%}, 95% interval {low:.1%} to {high:.1%})")


def print_rates(found: Mapping[str, Sequence[bool]]) -> None:
    """Print the share of sets that are reported."""
    print("| set | reported | 95% interval |\n| --- | --- | --- |")
    for name, results in found.items():
        low, high = binomtest(sum(results), len(results)).proportion_ci()
        print(f"| {name} | {sum(results)} of {len(results)} | {low:.1%} to {high:.1%} |")


def print_grid(found: Mapping[str, Sequence[Sequence[bool]]]) -> None:
    """Print the rates by bounds, over all kinds of copies together."""
    print("| lowest | highest | innocent | 3% | 10% | 30% |\n| --- | --- | --- | --- | --- | --- |")
    for index, (low, high) in enumerate(GRID):
        cells = []
        for start in ("innocent", "3% ", "10% ", "30% "):
            results = [values[index] for name, sets in found.items() if name.startswith(start) for values in sets]
            cells.append(f"{sum(results)} of {len(results)}")
        print(f"| {low} | {high} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
