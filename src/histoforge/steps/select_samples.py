"""Draw a pool of candidates, score it, and keep the patches that a rule selects (Algorithm 1 of Xue et al. 2021)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.network import Classifier
from histoforge.core.errors import SettingsError
from histoforge.core.progress import Progress, say
from histoforge.generators.loading import load_generator
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.device import DevicePatches
from histoforge.patches.matching import check_same_format
from histoforge.selection.counts import check_pool, kept_counts, pool_counts
from histoforge.selection.pool import CARRIED, Candidates, check_scored, draw_pool, take_over
from histoforge.selection.rules import select
from histoforge.selection.scores import Scorer
from histoforge.steps.select_samples_config import SelectSamplesConfig, SelectSamplesSummary
from histoforge.training.device import resolve_device, resolve_precision

ALGORITHM_1_MULTIPLE = 4
COPY_BATCH = 256


def run(
    config: SelectSamplesConfig,
    *,
    patches: Path,
    extractor: Path,
    generator: Path | None = None,
    pool_in: Path | None = None,
    selected: Path,
    pool: Path,
) -> SelectSamplesSummary:
    """Keep the synthetic patches that the rule selects.

    Args:
        config: the settings.
        patches: patch set of real patches; only its training split determines the counts and the class centroids.
        extractor: model or arm directory of the scoring classifier; for an arm, the lowest seed. A4-12: it has seen
            only the training split.
        generator: model that draws the candidates; not needed if `pool_in` is given.
        pool_in: a pool that an earlier select_samples wrote; its first candidates of each class and their scores are
            reused, so that several rules select from the same pool.
        selected: patch set to write: the kept patches, with their scores as columns.
        pool: patch set to write: all candidates, with their scores, the rule's `rank` and `kept`.

    Raises:
        SettingsError: if neither `generator` nor `pool_in` is given.
        ModelError: if the extractor or the generator has other classes or another patch size.
        SelectionError: if nothing is kept, the pool is too small, or `pool_in` was scored differently.
    """
    started = time.monotonic()
    real = PatchSet.open(patches)
    train = real.split("train")
    kept = kept_counts(train.counts, config.ratio)
    wanted = pool_counts(train.counts, config.pool_multiple or ALGORITHM_1_MULTIPLE * config.ratio)
    check_pool(wanted, kept, real.classes)
    classifier = load_classifier(extractor, resolve_device(config.device))
    classifier.check_fits(real.classes, real.patch_size, f"the patch set {patches}")
    scoring = {
        "extractor": classifier.info.digest,
        "patches": real.digest,
        "passes": config.passes,
        "layers": config.layers,
    }
    if pool_in is not None:
        earlier = PatchSet.open(pool_in)
        check_scored(earlier, wanted, scoring)
        parts = take_over(earlier, wanted, config.batch_size)
    elif generator is not None:
        parts = _draw(config, generator, classifier, real, wanted)
    else:
        raise SettingsError("select_samples has no candidates: give a generator, or pool_in from an earlier one.")
    made_by = {"step": "select_samples", "config": config.model_dump(mode="json"), "scoring": scoring}
    index = _write_pool(config, pool, parts, real, kept, int(wanted.sum()), made_by)
    _write_selected(PatchSet.open(pool), selected, made_by)
    return _summary(config, index, train, classifier, time.monotonic() - started)


def _draw(
    config: SelectSamplesConfig, path: Path, classifier: Classifier, real: PatchSet, wanted: NDArray[np.int64]
) -> Iterator[Candidates]:
    device = resolve_device(config.device)
    generator = load_generator(path, str(device))
    advice = "give a generator that was trained on that patch set"
    check_same_format(f"The generator {path} draws", generator.info, "the patch set", real, advice)
    scorer = Scorer(
        classifier,
        passes=config.passes,
        layers=config.layers,
        seed=config.seed,
        device=device,
        dtype=resolve_precision(config.precision, device),
    )
    scorer.fit(DevicePatches.load(real.split("train"), device), len(real.classes), config.batch_size)
    return draw_pool(generator, scorer, wanted, config.seed, config.batch_size)


def _write_pool(
    config: SelectSamplesConfig,
    path: Path,
    parts: Iterator[Candidates],
    real: PatchSet,
    kept: NDArray[np.int64],
    total: int,
    made_by: dict[str, Any],
) -> pd.DataFrame:
    with (
        PatchSetWriter.create(path, real.classes, real.patch_size, real.info.mpp, synthetic=True) as writer,
        Progress("candidates", total, "patches") as progress,
    ):
        for part in parts:
            writer.add(part.images, label=part.labels, **_mpp(real), **part.columns)
            progress.advance(len(part.images))
        index = writer.index()
        choice = select(
            config.rule,
            index["entropy" if config.entropy == "mean_of_entropies" else "entropy_of_mean"].to_numpy(),
            index["distance"].to_numpy(),
            index["confidence"].to_numpy(),
            index["label"].to_numpy(),
            kept,
            real.classes,
            threshold=config.threshold,
            seed=config.seed,
        )
        columns = {"rank": choice.rank, "kept": choice.kept}
        writer.finish(made_by, columns=columns)
    if choice.kept.sum() < kept.sum():
        say(f"select_samples: {choice.kept.sum()} of {kept.sum()} patches passed threshold={config.threshold}.")
    return index.assign(**columns)


def _write_selected(pool: PatchSet, path: Path, made_by: dict[str, Any]) -> None:
    rows = np.flatnonzero(pool.index["kept"].to_numpy())
    with PatchSetWriter.create(path, pool.classes, pool.patch_size, pool.info.mpp, synthetic=True) as writer:
        for start in range(0, len(rows), COPY_BATCH):
            part = pool.where(rows[start : start + COPY_BATCH])
            columns = {name: part.index[name].to_numpy() for name in (*CARRIED, "rank", "kept")}
            writer.add(part.images(), label=part.labels, **_mpp(pool), **columns)
        writer.finish({**made_by, "pool": pool.digest})


def _summary(
    config: SelectSamplesConfig, index: pd.DataFrame, train: PatchSet, classifier: Classifier, seconds: float
) -> SelectSamplesSummary:
    chosen = index[index["kept"]]
    by_class = {
        name: {one: int((rows["class_name"] == one).sum()) for one in train.classes}
        for name, rows in (("pool", index), ("kept", chosen))
    }
    means = {
        f"{score}_{name}": float(rows[score].mean())
        for name, rows in (("pool", index), ("kept", chosen))
        for score in ("entropy", "distance", "confidence")
    }
    return SelectSamplesSummary(
        rule=config.rule,
        real=dict(zip(train.classes, train.counts.tolist(), strict=True)),
        **by_class,
        **means,
        extractor=classifier.name,
        generator=str(index["generator"].iloc[0]),
        seconds=round(seconds, 2),
    )


def _mpp(patches: PatchSet) -> dict[str, float]:
    return {} if patches.info.mpp is None else {"mpp": patches.info.mpp}
