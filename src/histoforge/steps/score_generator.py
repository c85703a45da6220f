"""Draw patches from a generator, keep them, and compute all scores that the leaderboard shows."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from histoforge.classifiers.network import Classifier
from histoforge.core.digests import digest_file
from histoforge.core.files import atomic_directory
from histoforge.core.progress import Progress, say
from histoforge.core.seals import write_sealed
from histoforge.core.seeds import numpy_rng
from histoforge.evaluation import scoring
from histoforge.evaluation.generator_scores import (
    FEATURES_NAME,
    FILE_NAME,
    SCHEMA_VERSION,
    Digests,
    Drawing,
    GeneratorScores,
)
from histoforge.evaluation.scoring import Labels, PatchFeatures, Pixels
from histoforge.evaluation.spaces import check_warnings
from histoforge.generators.loading import Generator, load_generator
from histoforge.generators.methods import METHODS, title
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.block_edges import block_edges
from histoforge.metrics.diversity import diversity
from histoforge.metrics.extract import Extractor
from histoforge.metrics.extractor_check import check_extractors
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.generative import GenerativeMetrics, generative_metrics
from histoforge.metrics.inception import inception_extractors
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.metrics.table import feature_metrics
from histoforge.metrics.untrained import untrained_extractors
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.pictures import grid, save_png
from histoforge.steps.score_generator_config import ScoreGeneratorConfig, ScoreGeneratorSummary
from histoforge.training.device import resolve_device, resolve_precision

WRITE_ROWS = 512
"""Number of patches that are encoded and written at once."""


def run(
    config: ScoreGeneratorConfig, *, patches: Path, generator: Path, extractor: Path, samples: Path, scores: Path
) -> ScoreGeneratorSummary:
    """Score a generator against the training patches; the test split is not read.

    Args:
        config: the settings.
        patches: patch set of real patches: the training split is compared with, the validation split provides real
            patches that no generator saw.
        generator: a trained generator of any method.
        extractor: a classifier trained on the real patches, or its arm. In an arm, the lowest seed labels the
            synthetic patches; the next seed, which chose nothing, is the judge; metrics are also computed with the
            others.
        samples: patch set to write: the synthetic patches.
        scores: directory to write: `scores.json`, `features.npz` for maps, `pictures/grid.png`, and the generator's
            `history.json`.

    Raises:
        HistoforgeError: if the inputs do not belong together, or weights are missing or not the named ones.
    """
    started = time.monotonic()
    device = resolve_device(config.device)
    real = PatchSet.open(patches)
    model = load_generator(generator, str(device))
    scoring.check_generator(model, generator, real)
    classifiers = scoring.open_classifiers(extractor, real, device)
    extractors: list[Extractor] = [
        *classifiers,
        *inception_extractors(config.inception_weights, config.inception_sha256, device),
    ]
    distance = scoring.perceptual_distance(
        scoring.judge_of(classifiers), config.lpips_weights, config.lpips_sha256, real.patch_size, device
    )
    train, held_out = _training_patches(real.split("train"), config), _validation_patches(real, config.seed)
    labels = scoring.labels_to_draw(real.split("train"), config.count, config.labels == "balanced", config.seed)
    dtype = resolve_precision(config.precision, device)
    pixels, drawing = scoring.draw_samples(model, labels, config.batch_size, config.seed, device, dtype)
    say(f"score_generator: {len(labels)} patches drawn, {drawing.seconds_per_thousand:.2f} s per thousand patches")
    samples_digest = _write_samples(samples, pixels, labels, model, config, real)
    extractors += untrained_extractors(train)
    features = scoring.extract_all(extractors, pixels, train, held_out, config.batch_size, device, config.seed)
    checks = check_extractors(extractors, held_out if held_out is not None else train, device, seed=config.seed)
    paths, paths_note = scoring.walk(
        model, labels, distance, device,
        pairs=config.path_pairs, steps=config.path_steps, epsilon=config.path_epsilon,
        interpolation=config.path_interpolation, seed=config.seed,
    )  # fmt: skip
    result = GeneratorScores(
        **_identity(model, config, real, samples_digest, classifiers),
        **_feature_scores(classifiers, features, train, held_out, (pixels, labels), config),
        block_edges=block_edges(pixels),
        labels=scoring.label_scores(classifiers[0], pixels, labels, config.batch_size, device),
        paths=paths,
        paths_note=paths_note,
        drawing=drawing,
        warnings=[
            *model.info.training.get("warnings", []),
            *_warnings(config, train, held_out, classifiers, drawing),
            *check_warnings(checks),
        ],
        extractor_checks=checks,
    )
    judge_features = next(row for row in features if row.extractor == result.judge)
    _write_scores(scores, result, judge_features, train, pixels, labels, generator, config)
    say(f"score_generator: {result.name}, seed {result.seed}, is scored")
    return _summary(result, time.monotonic() - started)


def _identity(
    generator: Generator, config: ScoreGeneratorConfig, real: PatchSet, samples: str, classifiers: list[Classifier]
) -> dict[str, Any]:
    """Return the identity of the scored generator, and the record of its training."""
    info = generator.info
    steps, seconds = (info.training.get(name) for name in ("steps", "seconds"))
    variant = METHODS[info.method].variant(info.config)
    return {
        "name": config.name or title(info.method, variant),
        "method": info.method,
        "reward": variant,
        "seed": int(info.config.get("seed", 0)),
        "classes": real.classes,
        "patch_size": real.patch_size,
        "digests": Digests(
            generator=info.digest,
            weights=info.weights,
            patches=real.digest,
            samples=samples,
            extractor=classifiers[0].info.digest,
        ),
        "training_seconds": None if seconds is None else float(seconds),
        "training_steps": None if steps is None else int(steps),
        "parameters": dict(info.training.get("parameters") or {}),
    }


def _feature_scores(
    classifiers: list[Classifier],
    features: list[PatchFeatures],
    train: PatchSet,
    held_out: PatchSet | None,
    drawn: tuple[Pixels, Labels],
    config: ScoreGeneratorConfig,
) -> dict[str, Any]:
    """Compute everything that needs features: the metrics with every extractor, diversity and the audit with the judge.

    Args:
        drawn: the synthetic patches and their labels.
    """
    judge = scoring.judge_of(classifiers)
    row = next(row for row in features if row.extractor == judge.name)
    n = min(config.count, len(train))
    return {
        "judge": judge.name,
        "independent": len(classifiers) > 1,
        "other_architecture": scoring.other_architecture(judge, classifiers),
        "generative": [_metrics(each, each.fake[:n], n, config) for each in features],
        "held_out": [_metrics(each, each.held_out[:n], n, config) for each in features if each.held_out is not None],
        "references": {
            name: [_metrics(each, each.corrupted[name][:n], n, config) for each in features]
            for name in features[0].corrupted
        },
        "realism": None
        if held_out is None
        else scoring.realism_of(features, *drawn, train, held_out, judge, config.batch_size, config.seed),
        "diversity": diversity(row.real, train.labels, row.fake, drawn[1], train.classes, judge.name, config.seed),
        "memorisation": _audit(row, drawn, train, held_out, config.seed),
    }


def _validation_patches(real: PatchSet, seed: int) -> PatchSet | None:
    """Return validation patches in random order, or None."""
    rows = np.flatnonzero((real.index["split"] == "val").to_numpy())
    return real.where(numpy_rng(seed, "held out").permutation(rows)) if len(rows) else None


def _training_patches(train: PatchSet, config: ScoreGeneratorConfig) -> PatchSet:
    """Return training patches in random order: the first `count` are compared, all are searched for copies."""
    count = max(config.count, config.audit_patches)
    return train.where(numpy_rng(config.seed, "compared").permutation(len(train))[:count])


def _metrics(
    features: PatchFeatures, patches: np.ndarray, count: int, config: ScoreGeneratorConfig
) -> GenerativeMetrics:
    """Compare the features of some patches with those of the first `count` training patches."""
    return generative_metrics(
        features.real[:count], patches, features.extractor, neighbours=config.neighbours, seed=config.seed
    )


def _audit(
    features: PatchFeatures, drawn: tuple[Pixels, Labels], train: PatchSet, held_out: PatchSet | None, seed: int
) -> MemorisationAudit | None:
    if held_out is None or features.held_out is None or min(len(held_out), len(train)) < 2:
        return None
    pixels, labels = drawn
    names = np.array(train.classes)
    return audit_memorisation(
        EuclideanSpace(features.fake, features.real, features.held_out, features.extractor),
        pixels=AuditPixels(pixels, train),
        classes=(names[labels], names[train.labels], names[held_out.labels]),
        seed=seed,
    )


def _warnings(
    config: ScoreGeneratorConfig,
    train: PatchSet,
    held_out: PatchSet | None,
    classifiers: list[Classifier],
    drawing: Drawing,
) -> list[str]:
    """Return the reasons to trust these scores less."""
    warnings = []
    if len(train) < config.count:
        warnings.append(
            f"There are {len(train):,} training patches, fewer than count ({config.count:,}): generative metrics "
            f"compare {len(train):,} synthetic with {len(train):,} real patches."
        )
    if len(classifiers) < 2:
        warnings.append(
            "The extractor has no second seed and no judge of another architecture: the classifier that may have "
            "chosen the generator's epoch also scores it, so its scores are too good."
        )
    if held_out is None:
        warnings.append("There are no validation patches, so there is no memorisation audit.")
    empty = [name for name, count in drawing.by_class.items() if not count]
    if empty:
        warnings.append(f"No patches of {', '.join(empty)} were drawn, because the training split has none.")
    return warnings


def _write_samples(
    path: Path, pixels: Pixels, labels: Labels, generator: Generator, config: ScoreGeneratorConfig, real: PatchSet
) -> str:
    """Write the synthetic patches, and return the patch set's digest."""
    info = generator.info
    mpp = {} if real.info.mpp is None else {"mpp": real.info.mpp}
    with PatchSetWriter.create(path, real.classes, real.patch_size, real.info.mpp, synthetic=True) as writer:
        with Progress("samples", len(labels), "patches") as progress:
            for start in range(0, len(labels), WRITE_ROWS):
                rows = slice(start, start + WRITE_ROWS)
                writer.add(
                    pixels[rows], label=labels[rows], method=info.method, generator=info.digest, seed=config.seed, **mpp
                )
                progress.advance(len(pixels[rows]))
        made_by = {"step": "score_generator", "config": config.model_dump(mode="json"), "generator": info.digest}
        return writer.finish(made_by).digest


def _write_scores(
    path: Path,
    scores: GeneratorScores,
    features: PatchFeatures,
    train: PatchSet,
    pixels: Pixels,
    labels: Labels,
    generator: Path,
    config: ScoreGeneratorConfig,
) -> None:
    with atomic_directory(path) as folder:
        rows = slice(0, config.map_patches)
        np.savez(
            folder / FEATURES_NAME,
            real=features.real[rows], real_labels=train.labels[rows], fake=features.fake[rows],
            fake_labels=labels[rows],
        )  # fmt: skip
        digest = digest_file(folder / FEATURES_NAME)
        write_sealed(folder / FILE_NAME, {**scores.model_dump(mode="json"), "features": digest}, SCHEMA_VERSION)
        shown = [np.flatnonzero(labels == label)[: config.shown_patches] for label in range(len(train.classes))]
        save_png(grid(pixels[np.concatenate(shown)], config.shown_patches), folder / "pictures" / "grid.png")
        history = Path(generator) / "history.json"
        if history.is_file():
            shutil.copyfile(history, folder / history.name)


def _summary(scores: GeneratorScores, seconds: float) -> ScoreGeneratorSummary:
    metrics, paths = scores.judge_metrics, scores.paths
    return ScoreGeneratorSummary(
        name=scores.name,
        method=scores.method,
        seed=scores.seed,
        count=scores.drawing.count,
        compared=metrics.n_fake,
        judge=scores.judge,
        fid=metrics.fid,
        kid=metrics.kid,
        precision=metrics.precision,
        recall=metrics.recall,
        density=metrics.density,
        coverage=metrics.coverage,
        path_length=paths.path_length if paths else None,
        ppl=paths.ppl if paths else None,
        distance=paths.distance if paths else "",
        spread=scores.diversity.spread,
        distinct=scores.diversity.distinct,
        collapsed=scores.diversity.collapsed,
        label_accuracy=scores.labels.micro,
        label_macro_f1=scores.labels.f1,
        seconds_per_thousand=scores.drawing.seconds_per_thousand,
        peak_memory_mb=scores.drawing.peak_memory_mb,
        training_seconds=scores.training_seconds,
        metrics=_further_metrics(metrics),
        warnings=scores.warnings,
        seconds=round(seconds, 2),
    )


def _further_metrics(metrics: GenerativeMetrics) -> dict[str, float]:
    """Return the metrics of features that have no field of their own in the summary."""
    values = {metric.name: metrics.value(metric.name) for metric in feature_metrics()}
    fields = ScoreGeneratorSummary.model_fields
    return {name: value for name, value in values.items() if value is not None and name not in fields}
