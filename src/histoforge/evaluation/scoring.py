"""Draw patches from a generator and score them: features by several extractors, labels, path lengths."""

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.arms import ARM_NAME, load_arm, load_classifier, load_judge
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.weights import read_lpips
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.evaluation.generator_scores import Drawing, LabelScores
from histoforge.evaluation.realism import REFERENCE_PATCHES, Realism, Sides, judge_classes, measure_realism
from histoforge.generators.loading import Described, Generator, LatentGenerator, draw_batches
from histoforge.generators.model_selection import share_labels
from histoforge.metrics.classification import classification_metrics
from histoforge.metrics.corruptions import reference_copies
from histoforge.metrics.embeddings import patch_features
from histoforge.metrics.extract import Extractor, NamedExtractor, extract_features
from histoforge.metrics.path_length import Distance, FeatureDistance, Interpolation, PathLengths, path_lengths
from histoforge.metrics.pixel_statistics import PixelStatistics
from histoforge.metrics.untrained import UNTRAINED
from histoforge.patches import PatchSet
from histoforge.patches.matching import check_same_format

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
KB_PER_MB = 1024


@dataclass(frozen=True)
class PatchFeatures:
    """Features [N, D] of all patches by one extractor; without validation patches, `held_out` is None.

    `corrupted` has those of corrupted validation patches, by the name of the corruption.
    """

    extractor: str
    fake: NDArray[np.float32]
    real: NDArray[np.float32]
    held_out: NDArray[np.float32] | None
    corrupted: Mapping[str, NDArray[np.float32]]


def open_classifiers(
    path: Path, classes: list[str], patch_size: tuple[int, int] | None, device: torch.device
) -> list[Classifier]:
    """Open the classifiers that judge: the model itself, or all of an arm in ascending order of seeds.

    The lowest seed labels the synthetic patches, and may have chosen the generator's epoch; the next one, the same
    network from other random weights on the same patches, chose nothing; the others are further opinions. A classifier
    of another architecture, if the arm has one, comes last. `judge_of` selects the one to trust.

    Args:
        path: the classifier, or the arm.
        classes: the classes that they must know.
        patch_size: the patch size that they must have, px; None for any.
        device: where to load them.

    Raises:
        ModelError: if a classifier is damaged, or has other classes or another patch size.
    """
    is_arm = (Path(path) / ARM_NAME).is_file()
    classifiers = load_arm(path, device) if is_arm else [load_classifier(path, device)]
    judge = load_judge(path, device) if is_arm else None
    classifiers += [] if judge is None else [judge]
    for classifier in classifiers:
        classifier.check_fits(classes, patch_size or classifier.info.patch_size, "the patch set")
    return classifiers


def judge_of(classifiers: Sequence[Classifier]) -> Classifier:
    """Return the classifier to trust: another architecture's, or else the second seed's, which chose nothing either."""
    last = classifiers[-1]
    return last if other_architecture(last, classifiers) else classifiers[min(1, len(classifiers) - 1)]


def other_architecture(classifier: Classifier, classifiers: Sequence[Classifier]) -> bool:
    """Return True if a classifier has another architecture than the first of `classifiers`."""
    return classifier.info.method != classifiers[0].info.method


def check_generator(generator: Generator, path: Path | str, real: PatchSet, name: str = "the patch set") -> None:
    """Check that a generator draws patches of the same classes and size as the real ones.

    Args:
        generator: the generator.
        path: what distinguishes it, for the message.
        real: the real patches.
        name: their name in the message.

    Raises:
        ModelError: if it does not.
    """
    advice = "give a generator that was trained on that patch set"
    check_same_format(f"The generator {path} draws", generator.info, name, real, advice)


def labels_to_draw(train: PatchSet, count: int, balanced: bool, seed: int) -> Labels:
    """Return the class of each of `count` patches to draw, in random order: balanced, or in the shares of `train`."""
    if balanced:
        labels = np.arange(count, dtype=np.int64) % len(train.classes)
    else:
        labels = share_labels(train.labels, count, seed)
    return numpy_rng(seed, "score labels").permutation(labels)


def draw_samples(
    generator: Generator,
    labels: Labels,
    batch_size: int,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    write: Callable[[Labels, Iterable[Pixels]], PatchSet],
) -> tuple[PatchSet, Drawing]:
    """Draw synthetic patches and write them; return their set, and the time and memory that drawing them took.

    Args:
        generator: the generator.
        labels: the class of each patch, int64 [N].
        batch_size: patches drawn at once.
        seed: seed of the noise.
        device, dtype: those of the generator.
        write: writes the patches, which it is given batch by batch, and returns their set.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = 0.0

    def drawn() -> Iterator[Pixels]:
        nonlocal seconds
        began = time.perf_counter()
        for _, pixels in draw_batches(generator, labels, seed, batch_size):
            seconds += time.perf_counter() - began
            yield pixels
            began = time.perf_counter()

    samples = write(labels, drawn())
    if device.type == "cuda":
        peak_memory, memory_of = torch.cuda.max_memory_allocated(device) / 1e6, "GPU"
    else:
        peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_MB
        memory_of = "process"
    counts = np.bincount(labels, minlength=len(generator.info.classes)).tolist()
    return samples, Drawing(
        count=len(labels),
        by_class=dict(zip(generator.info.classes, counts, strict=True)),
        seconds_per_thousand=seconds / len(labels) * 1000,
        batch_size=batch_size,
        peak_memory_mb=peak_memory,
        memory_of=memory_of,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "processor",
        precision=str(dtype).removeprefix("torch."),
    )


def perceptual_distance(
    judge: Extractor, lpips_weights: str, lpips_sha256: str, patch_size: tuple[int, int], device: torch.device
) -> Distance:
    """Return LPIPS if its weights are given, else the distance between the judge's features.

    Args:
        lpips_weights: path or s3:// address of the weights, or ''.
        lpips_sha256: SHA-256 that the file must have; '' is unchecked.

    Raises:
        ModelError: if the weights are missing, have another checksum, or are not those of VGG-16, or the patches are
            too small for it.
    """
    return read_lpips(lpips_weights, lpips_sha256, patch_size, device) or FeatureDistance(judge)


def extract_all(
    extractors: Sequence[Extractor],
    fake: PatchSet,
    real: PatchSet,
    held_out: PatchSet | None,
    batch_size: int,
    device: torch.device,
    seed: int,
) -> list[PatchFeatures]:
    """Compute all features, each patch once per extractor; `seed` is that of corrupted validation patches."""
    corrupted = {}
    if held_out is not None:
        images = held_out.images(slice(0, REFERENCE_PATCHES))
        corrupted = reference_copies(images, numpy_rng(seed, "corrupted"))

    def features(extractor: Extractor, patches: PatchSet | Pixels, name: str) -> NDArray[np.float32]:
        return patch_features(extractor, patches, device, batch_size=batch_size, label=f"features of {name}")

    return [
        PatchFeatures(
            extractor.name,
            fake=features(extractor, fake, "synthetic patches"),
            real=features(extractor, real, "training patches"),
            held_out=None if held_out is None else features(extractor, held_out, "validation patches"),
            corrupted={name: features(extractor, copies, name) for name, copies in corrupted.items()},
        )
        for extractor in extractors
    ]


def realism_of(
    features: Sequence[PatchFeatures],
    fake: PatchSet,
    real: PatchSet,
    held_out: PatchSet,
    judge: Classifier,
    batch_size: int,
    seed: int,
) -> Realism:
    """Measure what the synthetic patches are, beside training patches `real` and held-out ones.

    Args:
        judge: the classifier that gives the probabilities of classes.
    """
    spaces = {
        each.extractor: Sides(each.fake, each.real, each.held_out)
        for each in features
        if each.extractor in UNTRAINED and each.held_out is not None
    }
    device = next(judge.parameters()).device
    return measure_realism(
        "synthetic",
        fake,
        fake.labels,
        real,
        held_out,
        pixels=spaces[PixelStatistics.name],
        spaces=Sides.join(list(spaces.values())),
        features=" and ".join(spaces),
        judgement=judge_classes(judge, fake, held_out, False, batch_size, device),
        seed=seed,
    )


def label_scores(classifier: Classifier, fake: PatchSet, batch_size: int, device: torch.device) -> LabelScores:
    """Score the labels that the real-trained classifier predicts for the synthetic patches (Table IV of the paper)."""
    predictor = NamedExtractor(classifier.name, lambda images: classifier(images).softmax(1))
    probabilities = extract_features(
        predictor, fake, device, batch_size=batch_size, label="labels of synthetic patches"
    ).astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    metrics = classification_metrics(probabilities, fake.labels, classifier.info.classes)
    return LabelScores(
        classifier=classifier.name,
        n=len(fake),
        micro=metrics.accuracy or 0.0,
        precision=metrics.macro.precision,
        recall=metrics.macro.sensitivity,
        f1=metrics.macro.f1,
        classes=[(row.name, row.n, row.precision, row.sensitivity, row.f1) for row in metrics.classes],
    )


def walk(
    generator: Described,
    labels: Labels,
    distance: Distance,
    device: torch.device,
    *,
    pairs: int,
    steps: int,
    epsilon: float,
    interpolation: Interpolation,
    seed: int,
) -> tuple[PathLengths | None, str]:
    """Return both path lengths over `pairs` pairs of latent points, or None and the reason why there are none.

    Args:
        labels: classes of synthetic patches; the pairs take theirs from these.
        steps, epsilon, interpolation: see `path_lengths`.
    """
    if pairs < 2:
        return None, "path_pairs is below 2"
    if not isinstance(generator, LatentGenerator):
        return None, f"{generator.info.method} has no latent space to walk"
    pair_labels = torch.from_numpy(np.resize(labels, pairs))
    rng = torch.Generator().manual_seed(derive_seed(seed, "path lengths"))
    ends = generator.latents(pair_labels, rng), generator.latents(pair_labels, rng)
    positions = torch.rand(len(pair_labels), generator=rng) * (1 - epsilon)
    lengths = path_lengths(
        lambda points, classes: generator.decode(points, classes).to(device),
        ends,
        pair_labels,
        distance,
        steps=steps,
        positions=positions,
        interpolation=interpolation,
        epsilon=epsilon,
    )
    return lengths, ""
