"""Scoring of candidates: the trunk once and K tails, against K full passes of the same network, in one run.

    python benchmarks/selection.py                                   # ResNet34, 96 px, 512 candidates, K = 5
    python benchmarks/selection.py --candidates 64 --repeats 1       # a quick look
    python benchmarks/selection.py --device cuda --candidates 8192 --batch-size 512

Both sides score the same images with the same dropout masks, at the same precision and batch size: entropy, distance to
the class centroids over all four stages, and confidence. They take turns, and the fastest of `--repeats` is reported.
The plain side runs the whole network and computes all distances in each pass, as Algorithm 1 of Xue et al. 2021 is
written. The benchmark compares the scores of both sides and the patches that Algorithm 1 keeps. Drawing images is not
timed.
"""

import argparse
from dataclasses import fields
from functools import partial

import numpy as np
import torch
from timing import surroundings, table, timed

from histoforge.classifiers.network import Classifier
from histoforge.patches.device import DevicePatches, to_unit
from histoforge.selection.counts import kept_counts
from histoforge.selection.scores import Scorer, Scores, entropy, feature_distance
from histoforge.selection.select import select
from histoforge.training.device import autocast, resolve_device, resolve_precision
from histoforge.training.model_files import ModelInfo

CLASSES = ["normal", "tumour"]


def make_classifier(backbone: str, size: int, device: torch.device) -> Classifier:
    """Return a network with random weights, with running statistics computed from noise."""
    torch.manual_seed(0)
    config = {"stem": "imagenet", "width": 1.0, "dropout": 0.5, "imagenet_normalisation": False}
    info = ModelInfo(kind="classifier", method=backbone, config=config, classes=CLASSES, patch_size=(size, size))
    classifier = Classifier(info)
    with torch.inference_mode():
        classifier(to_unit(draw(32, size, seed=2)))
    return classifier.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def draw(count: int, size: int, seed: int) -> torch.Tensor:
    """Return blurred noise, uint8 [count, 3, size, size], channels_last."""
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear") * 255
    return images.to(torch.uint8).contiguous(memory_format=torch.channels_last)


def make_scorer(classifier: Classifier, options: argparse.Namespace, device: torch.device) -> Scorer:
    """Return a scorer at the start of its dropout masks, without centroids."""
    dtype = resolve_precision(options.precision, device)
    return Scorer(classifier, passes=options.passes, layers="stages", seed=0, device=device, dtype=dtype)


def with_tails(scorer: Scorer, candidates: DevicePatches, batch_size: int) -> Scores:
    """Score like the step select_samples."""
    batches = []
    for rows in torch.arange(len(candidates)).split(batch_size):
        batch = candidates.batch(rows)
        batches.append(scorer.score(batch.images, batch.labels))
    return join(batches)


@torch.inference_mode()
def with_full_passes(scorer: Scorer, candidates: DevicePatches, batch_size: int) -> Scores:
    """Score without reuse: the whole network and the distances of all layers, K times."""
    batches = []
    for rows in torch.arange(len(candidates)).split(batch_size):
        batch = candidates.batch(rows)
        distance, probabilities = torch.zeros(len(rows), dtype=torch.float64, device=scorer.device), []
        for stream in scorer.streams:
            with autocast(scorer.device, scorer.dtype):
                trunk = scorer.classifier.trunk(batch.images)
                tail = scorer.classifier.tail(trunk.hidden, scorer.masks([stream], trunk.hidden))
            for activation, centroid in zip((*trunk.maps, tail.map), scorer.centroids, strict=True):
                distance += feature_distance(activation, centroid[batch.labels]) / len(scorer.streams)
            probabilities.append(tail.logits.double().softmax(1))
        p = torch.stack(probabilities)
        confidence = p.mean(0).gather(1, batch.labels.view(-1, 1)).squeeze(1)
        values = (entropy(p).mean(0), entropy(p.mean(0)), distance, confidence)
        batches.append(Scores(*(value.cpu().numpy() for value in values)))
    return join(batches)


def join(batches: list[Scores]) -> Scores:
    """Join the scores of several batches, in their order."""
    return Scores(*(np.concatenate([getattr(scores, field.name) for scores in batches]) for field in fields(Scores)))


def kept_by_algorithm_1(scores: Scores, labels: np.ndarray) -> np.ndarray:
    """Return the patches kept by Algorithm 1, a quarter of the pool, as bool [N]."""
    kept = kept_counts(np.bincount(labels, minlength=len(CLASSES)), 0.25)
    options = {"kept": kept, "classes": CLASSES, "threshold": 0.0, "seed": 0}
    return select("entropy_centroid", scores.entropy, scores.distance, scores.confidence, labels, **options).kept


def main() -> None:
    """Measure, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=512)
    parser.add_argument("--backbone", default="resnet34")
    parser.add_argument("--size", type=int, default=96, help="px")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    options = parser.parse_args()
    device = resolve_device(options.device)
    classifier = make_classifier(options.backbone, options.size, device)
    labels = torch.arange(options.candidates) % len(CLASSES)
    real = draw(64, options.size, seed=1).permute(0, 2, 3, 1).numpy()
    candidates = DevicePatches(draw(options.candidates, options.size, seed=0).to(device), labels.to(device), device)
    sides = {f"{options.passes} full passes": with_full_passes, "trunk once, tails": with_tails}
    times = dict.fromkeys(sides, float("inf"))
    results = {}
    for round_number in range(options.repeats + 1):  # round 0 warms up
        for name, side in sides.items():
            scorer = make_scorer(classifier, options, device)
            scorer.fit(real, labels[:64].numpy(), len(CLASSES), options.batch_size)
            taken, results[name] = timed(partial(side, scorer, candidates, options.batch_size))
            if round_number:
                times[name] = min(times[name], taken)
    plain, ours = results.values()
    gaps = {name: float(np.abs(getattr(plain, name) - getattr(ours, name)).max()) for name in ("entropy", "distance")}
    same = np.array_equal(kept_by_algorithm_1(plain, labels.numpy()), kept_by_algorithm_1(ours, labels.numpy()))
    title = f"{options.candidates} candidates of {options.size} px, {options.backbone}, {options.precision} on {device}"
    print(table(title, "candidates", options.candidates, times, baseline=next(iter(sides))))
    print(f"\nlargest difference of scores: {gaps}; the same candidates kept: {same}\n")
    print(surroundings(["torch", "torchvision", "numpy"]))


if __name__ == "__main__":
    main()
