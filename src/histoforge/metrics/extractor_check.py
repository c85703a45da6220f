"""Check that an extractor's distances make sense: corrupted real patches must be farther from real ones than others.

An extractor is trained for another purpose, and nothing in its training says what it makes of patches unlike any that
it has seen. Some give pure noise a better FID than patches with drifting colours: such an extractor must not choose
epochs, and its numbers need a mark.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.core.seeds import numpy_rng
from histoforge.core.text import join_words
from histoforge.metrics.corruptions import (
    blurred,
    coloured_noise,
    pure_noise,
    shuffled_pixels,
    with_noise,
    with_shifted_colours,
)
from histoforge.metrics.extract import Extractor, extract_features
from histoforge.metrics.frechet import FrechetReference
from histoforge.metrics.results import Result
from histoforge.patches.patchset import PatchSet

Pixels = NDArray[np.uint8]

PATCHES = 160
"""Maximum number of real patches; half of them are corrupted."""
MIN_PATCHES = 20
FLOORS = 5
NOISE, COLOURED_NOISE = "noise alone", "noise in the colours of real patches"
WEAK_AND_STRONG = (
    ("weak noise", "strong noise"),
    ("weak blur", "strong blur"),
    ("weak colour shifts", "strong colour shifts"),
)
BETTER_THAN_COLOURED_NOISE = ("weak blur", "weak colour shifts", "strong colour shifts")


class ExtractorCheck(Result):
    """Distances of corrupted real patches from real ones, in the features of one extractor.

    Attributes:
        extractor: its name.
        patches: number of real patches on each side.
        floor: the largest FID between random halves of the real patches.
        distances: FID of corrupted from real patches, by the name of the corruption.
        failures: what is wrong, each as the end of a sentence that begins with the extractor's name; empty if it
            passed.
    """

    extractor: str
    patches: int
    floor: float
    distances: dict[str, float]
    failures: list[str]

    @property
    def passed(self) -> bool:
        """True if the distances make sense."""
        return not self.failures

    @property
    def text(self) -> str:
        """The failures as one sentence; '' if there are none."""
        return f"The extractor {self.extractor} {'; it '.join(self.failures)}." if self.failures else ""


def corrupted_copies(images: Pixels, rng: np.random.Generator) -> dict[str, Pixels]:
    """Return corrupted copies of patches, uint8 [N, H, W, 3], by the name of the corruption."""
    return {
        "weak noise": with_noise(images, rng, 20),
        "strong noise": with_noise(images, rng, 60),
        "weak blur": blurred(images, 1),
        "strong blur": blurred(images, 4),
        "weak colour shifts": with_shifted_colours(images, rng, 15),
        "strong colour shifts": with_shifted_colours(images, rng, 30),
        "shuffled pixels": shuffled_pixels(images, rng),
        COLOURED_NOISE: coloured_noise(images, rng),
        NOISE: pure_noise(images, rng),
    }


def check_extractor(
    extractor: Extractor,
    real: PatchSet | Pixels,
    device: torch.device | str = "cpu",
    *,
    seed: int = 0,
    batch_size: int = 128,
) -> ExtractorCheck | None:
    """Check an extractor on up to 160 real patches; None for fewer than 20, from which nothing follows.

    FID is computed between one half of the patches and corrupted copies of the other half. Three things are required:

    - It exceeds the floor, the largest FID of five random pairs of halves, for all strong corruptions.
    - It grows with the strength of the corruption.
    - Noise alone is the farthest of all, and noise in the colours of real patches is farther than real patches that are
      slightly blurred or have other colours.

    Args:
        real: real patches, at best such that the extractor was not trained on, or uint8 [N, H, W, 3].
        seed: seed of halves and corruptions.
    """
    rng = numpy_rng(seed, "extractor check")
    rows = rng.permutation(len(real))[:PATCHES]
    if len(rows) < MIN_PATCHES:
        return None
    images = real.images(rows) if isinstance(real, PatchSet) else real[rows]
    half = len(images) // 2
    copies = corrupted_copies(images[half : 2 * half], rng)
    pixels = np.concatenate([images[: 2 * half], *copies.values()])
    features = extract_features(extractor, pixels, device, batch_size=batch_size, label="check of the extractor")
    of_real, *of_copies = np.split(features, range(2 * half, len(pixels), half))
    floor = max(_distance_of_halves(of_real, half, rng) for _ in range(FLOORS))
    reference = FrechetReference(of_real[:half])
    distances = {name: reference.distance(each) for name, each in zip(copies, of_copies, strict=True)}
    return ExtractorCheck(
        extractor=extractor.name, patches=half, floor=floor, distances=distances, failures=_failures(floor, distances)
    )


def check_extractors(
    extractors: Sequence[Extractor],
    real: PatchSet | Pixels,
    device: torch.device | str = "cpu",
    *,
    seed: int = 0,
    batch_size: int = 128,
) -> list[ExtractorCheck]:
    """Check several extractors on the same patches; empty with too few patches."""
    checks = (check_extractor(each, real, device, seed=seed, batch_size=batch_size) for each in extractors)
    return [check for check in checks if check is not None]


def _distance_of_halves(features: NDArray[np.float32], half: int, rng: np.random.Generator) -> float:
    order = rng.permutation(len(features))
    return FrechetReference(features[order[:half]]).distance(features[order[half : 2 * half]])


def _failures(floor: float, distances: Mapping[str, float]) -> list[str]:
    """Return what the distances get wrong, each as the end of a sentence about the extractor."""
    failures = []
    weak = [name for name, _ in WEAK_AND_STRONG]
    unseen = [name for name, distance in distances.items() if name not in weak and distance <= floor]
    if unseen:
        failures.append(f"does not tell real patches from {join_words(unseen)}")
    shrinking = [strong for name, strong in WEAK_AND_STRONG if distances[strong] <= distances[name]]
    if shrinking:
        failures.append(f"puts {join_words(shrinking)} nearer to real patches than the weak form")
    for noise, worse_than in ((NOISE, list(distances)), (COLOURED_NOISE, BETTER_THAN_COLOURED_NOISE)):
        preferred = [name for name in worse_than if name != noise and distances[name] >= distances[noise]]
        if preferred:
            failures.append(f"puts {noise} nearer to real patches than {join_words(preferred)}")
    return failures
