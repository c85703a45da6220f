"""Draw patches from a generator, keep them, and compute all scores that the leaderboard shows."""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from histoforge.evaluation.scoring import Labels, Pixels, Seen
from histoforge.generators.loading import Generator, load_generator
from histoforge.generators.methods import METHODS, title
from histoforge.metrics.diversity import diversity
from histoforge.metrics.exact_copies import PixelKeys, pixel_keys
from histoforge.metrics.feature_space import EuclideanSpace
from histoforge.metrics.generative import GenerativeMetrics, generative_metrics
from histoforge.metrics.memorisation import MemorisationAudit, audit_memorisation
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.pictures import grid, save_png
from histoforge.steps.score_generator_config import ScoreGeneratorConfig, ScoreGeneratorSummary
from histoforge.training.device import resolve_device

WRITTEN = 512


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
            synthetic patches, the next seed, which chose nothing, is the extractor to trust, and the others are
            further opinions.
        samples: patch set to write: the synthetic patches.
        scores: directory to write: `scores.json`, `features.npz` for maps, `pictures/grid.png`, and the generator's
            `history.json`.

    Raises:
        HistoforgeError: if the inputs do not belong together, or weights are missing or not the named ones.
    """
    started = time.monotonic()
    device = resolve_device(config.device)
    real = PatchSet.open(patches)
    made = load_generator(generator, str(device))
    scoring.check_generator(made, generator, real)
    classifiers = scoring.open_classifiers(extractor, real, device)
    extractors = [*classifiers, *scoring.inception(config, device)]
    distance = scoring.perceptual(config, scoring.judge_of(classifiers), real.patch_size, device)
    train, held_out = _compared(real.split("train"), config), _validation(real, config)
    labels = scoring.wanted_labels(config, real.split("train"))
    pixels, drawing = scoring.draw_samples(made, labels, config, device)
    say(f"score_generator: {len(labels)} patches drawn, {drawing.seconds_per_thousand:.2f} s a thousand")
    written = _write_samples(samples, pixels, labels, made, config, real)
    seen = scoring.see(extractors, pixels, train, held_out, config, device)
    judged = _judged(classifiers, seen, train, held_out, (pixels, labels), config)
    paths, paths_note = scoring.walk(made, labels, distance, config, device)
    found = GeneratorScores(
        **_identity(made, config, real, written, classifiers),
        **judged,
        labels=scoring.label_scores(classifiers[0], pixels, labels, config, device),
        paths=paths,
        paths_note=paths_note,
        drawing=drawing,
        warnings=_warnings(config, train, held_out, classifiers, drawing),
    )
    of_judge = next(one for one in seen if one.extractor == found.judge)
    _write_scores(scores, found, of_judge, train, pixels, labels, generator, config)
    say(f"score_generator: {found.name}, seed {found.seed}, is scored")
    return _summary(found, time.monotonic() - started)


def _identity(
    made: Generator, config: ScoreGeneratorConfig, real: PatchSet, samples: str, classifiers: list[Classifier]
) -> dict[str, Any]:
    """Return the identity of the scored generator, and the record of its training."""
    info = made.info
    variant = METHODS[info.method].variant(info.config)
    steps, seconds = (info.training.get(name) for name in ("steps", "seconds"))
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


def _judged(
    classifiers: list[Classifier],
    seen: list[Seen],
    train: PatchSet,
    held_out: PatchSet | None,
    drawn: tuple[Pixels, Labels],
    config: ScoreGeneratorConfig,
) -> dict[str, Any]:
    """Compute everything that needs features: metrics of every extractor; diversity and copies of the one to trust."""
    believed_classifier = scoring.judge_of(classifiers)
    judge = believed_classifier.name
    believed = next(one for one in seen if one.extractor == judge)
    n = min(config.count, len(train))
    return {
        "judge": judge,
        "independent": len(classifiers) > 1,
        "other_architecture": scoring.other_architecture(believed_classifier, classifiers),
        "generative": [_against(one.real[:n], one.fake[:n], one, config) for one in seen],
        "held_out": [_against(one.real[:n], one.held_out[:n], one, config) for one in seen if one.held_out is not None],
        "diversity": diversity(believed.real, train.labels, believed.fake, drawn[1], train.classes, judge, config.seed),
        "memorisation": _audit(believed, drawn, train, held_out, config),
    }


def _validation(real: PatchSet, config: ScoreGeneratorConfig) -> PatchSet | None:
    """Return validation patches in random order, or None."""
    rows = np.flatnonzero((real.index["split"] == "val").to_numpy())
    return real.where(numpy_rng(config.seed, "held out").permutation(rows)) if len(rows) else None


def _compared(train: PatchSet, config: ScoreGeneratorConfig) -> PatchSet:
    """Return training patches in random order: the first `count` are compared, all are searched for copies."""
    most = max(config.count, config.audit_patches)
    return train.where(numpy_rng(config.seed, "compared").permutation(len(train))[:most])


def _against(
    real: NDArray[np.float32], fake: NDArray[np.float32], seen: Seen, config: ScoreGeneratorConfig
) -> GenerativeMetrics:
    return generative_metrics(real, fake, seen.extractor, neighbours=config.neighbours, seed=config.seed)


def _audit(
    seen: Seen, drawn: tuple[Pixels, Labels], real: PatchSet, held_out: PatchSet | None, config: ScoreGeneratorConfig
) -> MemorisationAudit | None:
    if held_out is None or seen.held_out is None or min(len(held_out), len(real)) < 2:
        return None
    pixels, labels = drawn
    names = np.array(real.classes)
    return audit_memorisation(
        EuclideanSpace(seen.fake, seen.real, seen.held_out, seen.extractor),
        keys=PixelKeys([pixel_keys(pixels)], pixel_keys(real), np.empty(0, np.uint64)),
        classes=(names[labels], names[real.labels], names[held_out.labels]),
        seed=config.seed,
    )


def _warnings(
    config: ScoreGeneratorConfig,
    compared: PatchSet,
    held_out: PatchSet | None,
    classifiers: list[Classifier],
    drawing: Drawing,
) -> list[str]:
    """Return the reasons to trust these scores less."""
    found = []
    if len(compared) < config.count:
        found.append(
            f"There are {len(compared):,} training patches, fewer than the {config.count:,} asked for: generative "
            f"metrics compare {len(compared):,} of each kind."
        )
    if len(classifiers) < 2:
        found.append(
            "The extractor has no second seed and no judge of another architecture: the classifier that may have "
            "chosen the generator's epoch also judges it, which flatters."
        )
    if held_out is None:
        found.append("There are no validation patches: copies of training patches were not looked for.")
    empty = [name for name, count in drawing.by_class.items() if not count]
    if empty:
        found.append(f"No patch was drawn of {', '.join(empty)}: there are none among the training patches.")
    return found


def _write_samples(
    path: Path, pixels: Pixels, labels: Labels, generator: Generator, config: ScoreGeneratorConfig, real: PatchSet
) -> str:
    """Write the synthetic patches, and return the patch set's digest."""
    info = generator.info
    mpp = {} if real.info.mpp is None else {"mpp": real.info.mpp}
    with PatchSetWriter.create(path, real.classes, real.patch_size, real.info.mpp, synthetic=True) as writer:
        with Progress("samples", len(labels), "patches") as progress:
            for start in range(0, len(labels), WRITTEN):
                rows = slice(start, start + WRITTEN)
                writer.add(
                    pixels[rows], label=labels[rows], method=info.method, generator=info.digest, seed=config.seed, **mpp
                )
                progress.advance(len(pixels[rows]))
        made_by = {"step": "score_generator", "config": config.model_dump(mode="json"), "generator": info.digest}
        return writer.finish(made_by).digest


def _write_scores(
    path: Path,
    found: GeneratorScores,
    seen: Seen,
    real: PatchSet,
    pixels: Pixels,
    labels: Labels,
    generator: Path,
    config: ScoreGeneratorConfig,
) -> None:
    with atomic_directory(path) as folder:
        kept = slice(0, config.map_patches)
        np.savez(
            folder / FEATURES_NAME,
            real=seen.real[kept], real_labels=real.labels[kept], fake=seen.fake[kept], fake_labels=labels[kept],
        )  # fmt: skip
        features = digest_file(folder / FEATURES_NAME)
        write_sealed(folder / FILE_NAME, {**found.model_dump(mode="json"), "features": features}, SCHEMA_VERSION)
        shown = [np.flatnonzero(labels == label)[: config.shown_patches] for label in range(len(real.classes))]
        save_png(grid(pixels[np.concatenate(shown)], config.shown_patches), folder / "pictures" / "grid.png")
        history = Path(generator) / "history.json"
        if history.is_file():
            shutil.copyfile(history, folder / history.name)


def _summary(found: GeneratorScores, seconds: float) -> ScoreGeneratorSummary:
    row, paths = found.judge_metrics, found.paths
    return ScoreGeneratorSummary(
        name=found.name,
        method=found.method,
        seed=found.seed,
        count=found.drawing.count,
        compared=row.n_fake,
        judge=found.judge,
        fid=row.fid,
        kid=row.kid,
        precision=row.precision,
        recall=row.recall,
        density=row.density,
        coverage=row.coverage,
        path_length=paths.path_length if paths else None,
        ppl=paths.ppl if paths else None,
        distance=paths.distance if paths else "",
        spread=found.diversity.spread,
        distinct=found.diversity.distinct,
        collapsed=found.diversity.collapsed,
        label_accuracy=found.labels.micro,
        label_macro_f1=found.labels.f1,
        seconds_per_thousand=found.drawing.seconds_per_thousand,
        peak_memory_mb=found.drawing.peak_memory_mb,
        training_seconds=found.training_seconds,
        warnings=found.warnings,
        seconds=round(seconds, 2),
    )
