"""Draw patches from a generator, keep them, and compute all scores that the leaderboard shows."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from histoforge.classifiers.network import Classifier
from histoforge.core.progress import say
from histoforge.core.text import counted
from histoforge.evaluation import level_scoring, scoring
from histoforge.evaluation.fixed_sets import FixedSet, is_patch_set
from histoforge.evaluation.generator_scores import Digests, Drawing, GeneratorScores
from histoforge.evaluation.level_scores import LevelScores, means_by_level
from histoforge.evaluation.level_scoring import Comparison, Draws, compared_images, held_out_images
from histoforge.evaluation.published_extractors import published_extractors
from histoforge.evaluation.score_warnings import score_warnings
from histoforge.evaluation.scores_file import class_grid, mapped_features, write_samples, write_scores
from histoforge.evaluation.scoring import Labels, PatchFeatures
from histoforge.evaluation.spaces import check_warnings
from histoforge.generators.loading import Described, Generator, load_generator
from histoforge.generators.methods import METHODS, title
from histoforge.metrics.audit_pixels import AuditPixels
from histoforge.metrics.block_edges import block_edges
from histoforge.metrics.diversity import diversity
from histoforge.metrics.extractor_check import check_extractors
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.generative import GenerativeMetrics, generative_metrics
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.metrics.table import feature_metrics
from histoforge.metrics.untrained import untrained_extractors
from histoforge.patches import PatchSet
from histoforge.patches.blocks import read_blocks
from histoforge.steps.score_generator_config import ScoreGeneratorConfig, ScoreGeneratorSummary
from histoforge.training.device import resolve_device, resolve_precision


def run(
    config: ScoreGeneratorConfig,
    *,
    patches: Path,
    generator: Path,
    extractor: Path,
    overviews: Path | None = None,
    samples: Path,
    scores: Path,
) -> ScoreGeneratorSummary:
    """Score a generator against the training patches; the test split is not read.

    Args:
        config: the settings.
        patches: patch set of real patches: the training split is compared with, the validation split provides real
            patches that no generator saw.
        generator: a trained generator of any method; or a set of synthetic patches, of which some are chosen by the
            seed instead of being drawn. It has no path lengths, no cost of drawing, and a single draw.
        extractor: a classifier trained on the real patches, or its arm. In an arm, the lowest seed labels the
            synthetic patches; the next seed, which chose nothing, is the judge; metrics are also computed with the
            others.
        overviews: patch set of overviews, of which the same splits are read: the overviews of a generator that draws
            both levels are compared with them. Others ignore it.
        samples: patch set to write: the synthetic patches.
        scores: directory to write: `scores.json`, `features.npz` for maps, `pictures/grid.png`, and the generator's
            `history.json`.

    Raises:
        HistoforgeError: if the inputs do not belong together, or weights are missing or not the named ones.
    """
    started = time.monotonic()
    device = resolve_device(config.device)
    real = PatchSet.open(patches)
    model = _open(generator, real, device)
    classifiers = scoring.open_classifiers(extractor, real.classes, real.patch_size, device)
    dtype = resolve_precision(config.precision, device)
    published = published_extractors(config.inception_weights, config.inception_sha256, config.encoders, device, dtype)
    judge = scoring.judge_of(classifiers)
    distance = scoring.perceptual_distance(judge, config.lpips_weights, config.lpips_sha256, real.patch_size, device)
    # The first `count` training patches are compared, all of these are searched for copies.
    train = compared_images(real, config.seed, max(config.count, config.audit_patches))
    held_out = held_out_images(real, config.seed)
    drawn, drawing = _draw(config, model, real, samples, device, dtype)
    speed = f", {drawing.seconds_per_thousand:.2f} s per thousand patches" if drawing.seconds_per_thousand else ""
    say(f"score_generator: {counted(len(drawn), 'patches')} to score{speed}")
    extractors = [*classifiers, *published, *untrained_extractors(train)]
    features = scoring.extract_all(extractors, drawn, train, held_out, config.batch_size, device, config.seed)
    checks = check_extractors(extractors, held_out if held_out is not None else train, device, seed=config.seed)
    paths, paths_note = scoring.walk(
        model,
        drawn.labels,
        distance,
        device,
        pairs=config.path_pairs,
        steps=config.path_steps,
        epsilon=config.path_epsilon,
        interpolation=config.path_interpolation,
        seed=config.seed,
    )
    draws = Draws(config.generations, config.count, config.labels == "balanced")
    comparison = Comparison([judge, *published], config.neighbours, config.batch_size, config.seed, device)
    result = GeneratorScores(
        **_identity(model, config, real, drawn.digest, classifiers),
        **_feature_scores(classifiers, features, train, held_out, drawn, config),
        levels=_score_levels(model, drawn.labels, features, real, overviews, draws, comparison),
        figures=dict(model.info.training.get("figures") or {}),
        block_edges=block_edges(drawn),
        labels=scoring.label_scores(classifiers[0], drawn, config.batch_size, device),
        paths=paths,
        paths_note=paths_note,
        drawing=drawing,
        warnings=[
            *model.info.training.get("warnings", []),
            *score_warnings(config.count, train, held_out, classifiers, drawing),
            *check_warnings(checks),
        ],
        extractor_checks=checks,
    )
    judge_features = next(row for row in features if row.extractor == result.judge)
    mapped = mapped_features(judge_features, train.labels, drawn.labels, config.map_patches)
    write_scores(scores, result, mapped, class_grid(drawn, config.shown_patches), Path(generator))
    say(f"score_generator: {result.name}, seed {result.seed}, is scored")
    return _summary(result, time.monotonic() - started)


def _draw(
    config: ScoreGeneratorConfig,
    model: Generator | FixedSet,
    real: PatchSet,
    samples: Path,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[PatchSet, Drawing]:
    """Write the patches to score, drawn or chosen from a set, and return them with the cost of drawing."""
    wanted = (real.split("train"), config.count, config.labels == "balanced", config.seed)
    made_by = {"step": "score_generator", "config": config.model_dump(mode="json"), "generator": model.info.digest}
    write = partial(write_samples, samples, generator=model.info, real=real, made_by=made_by)
    if isinstance(model, FixedSet):
        chosen, drawing = model.choose(*wanted)
        return write(chosen.labels, (pixels for _, pixels in read_blocks(chosen))), drawing
    labels = scoring.labels_to_draw(*wanted)
    return scoring.draw_samples(model, labels, config.batch_size, config.seed, device, dtype, write)


def _open(path: Path, real: PatchSet, device: torch.device) -> Generator | FixedSet:
    """Return the generator, or the set of patches in its place, after checking that it fits the real patches."""
    if is_patch_set(path):
        return FixedSet.open(path, real)
    generator = load_generator(path, str(device))
    scoring.check_generator(generator, path, real)
    return generator


def _identity(
    generator: Described, config: ScoreGeneratorConfig, real: PatchSet, samples: str, classifiers: list[Classifier]
) -> dict[str, Any]:
    """Return the identity of the scored generator, and the record of its training."""
    info = generator.info
    steps, seconds = (info.training.get(name) for name in ("steps", "seconds"))
    variant = METHODS[info.method].variant(info.config) if info.method in METHODS else ""
    source = {"source": str(info.training["source"])} if info.training.get("source") else {}
    return {
        "name": config.name or info.origin.get("name") or title(info.method, variant),
        "origin": {**info.origin, **source},
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
    drawn: PatchSet,
    config: ScoreGeneratorConfig,
) -> dict[str, Any]:
    """Compute everything that needs features: the metrics with every extractor, diversity and the audit with the judge.

    Args:
        drawn: the synthetic patches.
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
        else scoring.realism_of(features, drawn, train, held_out, judge, config.batch_size, config.seed),
        "diversity": diversity(row.real, train.labels, row.fake, drawn.labels, train.classes, judge.name, config.seed),
        "memorisation": _audit(row, drawn, train, held_out, config),
    }


def _score_levels(
    generator: Generator | FixedSet,
    labels: Labels,
    features: list[PatchFeatures],
    real: PatchSet,
    overviews: Path | None,
    draws: Draws,
    comparison: Comparison,
) -> list[LevelScores]:
    """Score all draws at the level of the real images and, if there are overviews, at theirs."""
    drawing = None if isinstance(generator, FixedSet) else generator
    levels = level_scoring.score_drawn(drawing, labels, features, real, draws, comparison)
    if overviews is None:
        return levels
    of_overviews = level_scoring.score_overviews(generator, PatchSet.open(overviews), draws, comparison)
    if not of_overviews:
        say("score_generator: the generator draws one level alone, so the overviews are not used.")
    return [*levels, *of_overviews]


def _metrics(
    features: PatchFeatures, patches: np.ndarray, count: int, config: ScoreGeneratorConfig
) -> GenerativeMetrics:
    """Compare the features of some patches with those of the first `count` training patches."""
    return generative_metrics(
        features.real[:count], patches, features.extractor, neighbours=config.neighbours, seed=config.seed
    )


def _audit(
    features: PatchFeatures,
    drawn: PatchSet,
    train: PatchSet,
    held_out: PatchSet | None,
    config: ScoreGeneratorConfig,
) -> MemorisationAudit | None:
    if held_out is None or features.held_out is None or min(len(held_out), len(train)) < 2:
        return None
    names = np.array(train.classes)
    return audit_memorisation(
        EuclideanSpace(features.fake, features.real, features.held_out, features.extractor),
        pixels=AuditPixels(drawn, train, max_compared=config.copy_patches),
        classes=(names[drawn.labels], names[train.labels], names[held_out.labels]),
        seed=config.seed,
    )


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
        levels=means_by_level(scores.levels, scores.judge),
        metrics=_further_metrics(metrics),
        warnings=scores.warnings,
        seconds=round(seconds, 2),
    )


def _further_metrics(metrics: GenerativeMetrics) -> dict[str, float]:
    """Return the metrics of features that have no field of their own in the summary."""
    values = {metric.name: metrics.value(metric.name) for metric in feature_metrics()}
    fields = ScoreGeneratorSummary.model_fields
    return {name: value for name, value in values.items() if value is not None and name not in fields}
