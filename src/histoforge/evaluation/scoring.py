"""The parts of `score_generator`: drawing, features by several extractors, labels and path lengths."""

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.classifiers.arms import ARM_NAME, load_arm, load_classifier, load_judge
from histoforge.classifiers.network import Classifier
from histoforge.classifiers.weights import read_weights
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.evaluation.generator_scores import Drawing, LabelScores
from histoforge.generators.loading import Generator, LatentGenerator, draw
from histoforge.generators.model_selection import share_labels
from histoforge.metrics.classification import classification_metrics
from histoforge.metrics.extract import Extractor, NamedExtractor, extract_features
from histoforge.metrics.inception import InceptionExtractor
from histoforge.metrics.lpips import LpipsDistance, check_size
from histoforge.metrics.path_length import Distance, FeatureDistance, PathLengths, path_lengths
from histoforge.patches import PatchSet
from histoforge.patches.matching import check_same_format
from histoforge.steps.score_generator_config import ScoreGeneratorConfig
from histoforge.training.device import resolve_precision

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
KB_PER_MB = 1024


@dataclass(frozen=True)
class Seen:
    """Features [N, D] of all patches by one extractor; `held_out` is None without validation patches."""

    extractor: str
    fake: NDArray[np.float32]
    real: NDArray[np.float32]
    held_out: NDArray[np.float32] | None


def open_classifiers(path: Path, real: PatchSet, device: torch.device) -> list[Classifier]:
    """Open the classifiers that judge: the model itself, or all of an arm in ascending order of seeds.

    The lowest seed labels the synthetic patches, and may have chosen the generator's epoch; the next one, the same
    network from other random weights on the same patches, chose nothing; the others are further opinions. A classifier
    of another architecture, if the arm has one, comes last. `judge_of` selects the one to trust.

    Raises:
        ModelError: if a classifier is damaged, or has other classes or another patch size.
    """
    many = (Path(path) / ARM_NAME).is_file()
    classifiers = load_arm(path, device) if many else [load_classifier(path, device)]
    judge = load_judge(path, device) if many else None
    classifiers += [] if judge is None else [judge]
    for classifier in classifiers:
        classifier.check_fits(real.classes, real.patch_size, "the patch set")
    return classifiers


def judge_of(classifiers: Sequence[Classifier]) -> Classifier:
    """Return the classifier to trust: another architecture's, or else the second seed's, which chose nothing either."""
    last = classifiers[-1]
    return last if other_architecture(last, classifiers) else classifiers[min(1, len(classifiers) - 1)]


def other_architecture(classifier: Classifier, classifiers: Sequence[Classifier]) -> bool:
    """Return True if a classifier has another architecture than the first of `classifiers`."""
    return classifier.info.method != classifiers[0].info.method


def check_generator(generator: Generator, path: Path, real: PatchSet) -> None:
    """Check that a generator draws patches of the same classes and size as the real ones.

    Raises:
        ModelError: if it does not.
    """
    advice = "give a generator that was trained on that patch set"
    check_same_format(f"The generator {path} draws", generator.info, "the patch set", real, advice)


def wanted_labels(config: ScoreGeneratorConfig, train: PatchSet) -> Labels:
    """Return the class of each patch to draw, in random order."""
    if config.labels == "balanced":
        labels = np.arange(config.count, dtype=np.int64) % len(train.classes)
    else:
        labels = share_labels(train.labels, config.count, config.seed)
    return numpy_rng(config.seed, "score labels").permutation(labels)


def draw_samples(
    generator: Generator, labels: Labels, config: ScoreGeneratorConfig, device: torch.device
) -> tuple[Pixels, Drawing]:
    """Return the synthetic patches, uint8 [N, H, W, 3], and the time and memory that drawing them took."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    pixels = draw(generator, labels, config.seed, config.batch_size)
    seconds = time.perf_counter() - began
    if device.type == "cuda":
        memory, of = torch.cuda.max_memory_allocated(device) / 1e6, "GPU"
    else:
        memory, of = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_MB, "process"
    counts = np.bincount(labels, minlength=len(generator.info.classes)).tolist()
    return pixels, Drawing(
        count=len(labels),
        by_class=dict(zip(generator.info.classes, counts, strict=True)),
        seconds_per_thousand=seconds / len(labels) * 1000,
        batch_size=config.batch_size,
        peak_memory_mb=memory,
        memory_of=of,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "processor",
        precision=str(resolve_precision(config.precision, device)).removeprefix("torch."),
    )


def inception(config: ScoreGeneratorConfig, device: torch.device) -> list[Extractor]:
    """Return the Inception extractor, if its weights are given."""
    if not config.inception_weights:
        return []
    return [InceptionExtractor(Path(config.inception_weights), device, config.inception_sha256 or None)]


def perceptual(
    config: ScoreGeneratorConfig, judge: Extractor, patch_size: tuple[int, int], device: torch.device
) -> Distance:
    """Return LPIPS if its weights are given, else the distance between the judge's features.

    Raises:
        ModelError: if the weights are missing, have another checksum, or are not those of VGG-16, or the patches are
            too small for it.
    """
    if not config.lpips_weights:
        return FeatureDistance(judge)
    check_size(patch_size)
    weights, digest = read_weights(config.lpips_weights, config.lpips_sha256)
    return LpipsDistance(weights, digest, config.lpips_weights, device)


def see(
    extractors: Sequence[Extractor],
    fake: Pixels,
    real: PatchSet,
    held_out: PatchSet | None,
    config: ScoreGeneratorConfig,
    device: torch.device,
) -> list[Seen]:
    """Compute all features, each patch once per extractor."""

    def features(extractor: Extractor, patches: PatchSet | Pixels, what: str) -> NDArray[np.float32]:
        return extract_features(extractor, patches, device, batch_size=config.batch_size, label=f"features of {what}")

    return [
        Seen(
            one.name,
            fake=features(one, fake, "synthetic patches"),
            real=features(one, real, "training patches"),
            held_out=None if held_out is None else features(one, held_out, "validation patches"),
        )
        for one in extractors
    ]


def label_scores(
    classifier: Classifier, fake: Pixels, labels: Labels, config: ScoreGeneratorConfig, device: torch.device
) -> LabelScores:
    """Score the labels that the real-trained classifier predicts for the synthetic patches (Table IV of the paper)."""
    predictor = NamedExtractor(classifier.name, lambda images: classifier(images).softmax(1))
    probabilities = extract_features(
        predictor, fake, device, batch_size=config.batch_size, label="labels of synthetic patches"
    ).astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    found = classification_metrics(probabilities, labels, classifier.info.classes)
    return LabelScores(
        classifier=classifier.name,
        n=len(labels),
        micro=found.accuracy or 0.0,
        precision=found.macro.precision,
        recall=found.macro.sensitivity,
        f1=found.macro.f1,
        classes=[(row.name, row.n, row.precision, row.sensitivity, row.f1) for row in found.classes],
    )


def walk(
    generator: Generator, labels: Labels, distance: Distance, config: ScoreGeneratorConfig, device: torch.device
) -> tuple[PathLengths | None, str]:
    """Return both path lengths, or None and the reason why there are none."""
    if config.path_pairs < 2:
        return None, "not asked for (path_pairs is below 2)"
    if not isinstance(generator, LatentGenerator):
        return None, f"{generator.info.method} has no latent space to walk"
    chosen = torch.from_numpy(np.resize(labels, config.path_pairs))
    rng = torch.Generator().manual_seed(derive_seed(config.seed, "path lengths"))
    ends = generator.latents(chosen, rng), generator.latents(chosen, rng)
    places = torch.rand(len(chosen), generator=rng) * (1 - config.path_epsilon)
    found = path_lengths(
        lambda points, own: generator.decode(points, own).to(device),
        ends,
        chosen,
        distance,
        steps=config.path_steps,
        places=places,
        interpolation=config.path_interpolation,
        epsilon=config.path_epsilon,
    )
    return found, ""
