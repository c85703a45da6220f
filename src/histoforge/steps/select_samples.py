"""Draw or take a pool of candidates, score it, and keep what a rule selects (Algorithm 1 of Xue et al. 2021)."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histoforge.classifiers.arms import load_classifier
from histoforge.classifiers.network import Classifier
from histoforge.core.errors import PatchSetError, SettingsError
from histoforge.core.progress import Progress, say
from histoforge.generators.loading import Generator, load_generator
from histoforge.patches import PatchSet, PatchSetWriter
from histoforge.patches.blocks import read_blocks
from histoforge.patches.matching import check_same_fold, check_same_format
from histoforge.selection.counts import check_pool, kept_counts, pool_counts
from histoforge.selection.pool import POOL_COLUMNS, Candidates, draw_pool, given_pool, reuse_pool
from histoforge.selection.scores import Scorer
from histoforge.selection.select import Selection, select
from histoforge.steps.select_samples_config import SelectSamplesConfig, SelectSamplesSummary
from histoforge.training.device import resolve_device, resolve_precision

ALGORITHM_1_MULTIPLE = 4
CODECS = ("codecs", "jpeg_quality")
ORIGIN = ("generator", "generator_seed", "given", *CODECS)
"""Entries of a pool's description about the generator that drew it, or the patch set that was given."""
ENTROPY_COLUMNS = {"mean_of_entropies": "entropy", "entropy_of_mean": "entropy_of_mean"}


def run(
    config: SelectSamplesConfig,
    *,
    patches: Path,
    extractor: Path,
    generator: Path | None = None,
    candidates: Path | None = None,
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
        generator: model that draws the candidates; not needed if `candidates` or `pool_in` is given.
        candidates: patch set of synthetic patches, such as imported ones, which are the candidates. Of each class, at
            most as many as a generator would draw are taken, at random; a set may have fewer.
        pool_in: a pool that an earlier select_samples wrote; its first candidates of each class and their scores are
            reused, so that several rules select from the same pool.
        selected: patch set to write: the kept patches, with their scores as columns.
        pool: patch set to write: all candidates, with their scores, the rule's `rank` and `kept`.

    Raises:
        SettingsError: if none of `generator`, `candidates` and `pool_in` is given.
        ModelError: if the extractor or the generator has other classes or another patch size.
        SelectionError: if nothing is kept, the pool is too small, or `pool_in` was scored differently.
    """
    started = time.monotonic()
    real = PatchSet.open(patches, config.fold)
    train = real.split("train")
    kept = kept_counts(train.counts, config.ratio)
    wanted = pool_counts(train.counts, config.pool_multiple or ALGORITHM_1_MULTIPLE * config.ratio)
    given = _open_given(candidates, pool_in, real)
    was_given = candidates is not None or (given is not None and "given" in given.info.made_by)
    drawn = np.minimum(wanted, given.counts) if given is not None and was_given else wanted
    check_pool(drawn, kept, real.classes)
    classifier = load_classifier(extractor, resolve_device(config.device))
    classifier.check_fits(real.classes, real.patch_size, f"the patch set {patches}")
    classifier.check_fold(real)
    scoring = {
        "extractor": classifier.info.digest,
        "patches": real.digest,
        "passes": config.passes,
        "layers": config.layers,
    }
    if given is not None and pool_in is not None:
        batches = reuse_pool(given, drawn, scoring, config.batch_size)
        origin = {name: given.info.made_by[name] for name in ORIGIN if name in given.info.made_by}
    elif given is not None:
        batches, origin = _score_given(config, given, classifier, real, drawn)
    elif generator is not None:
        batches, origin = _draw_candidates(config, generator, classifier, real, drawn)
    else:
        raise SettingsError(
            "select_samples has no candidates: give a generator, candidates, or pool_in from an earlier one."
        )
    made_by = {"step": "select_samples", "config": config.model_dump(mode="json"), "scoring": scoring, **origin}
    choose = partial(
        _choose, config.rule, kept, real.classes, entropy=config.entropy, threshold=config.threshold, seed=config.seed
    )
    index = _write_pool(pool, real, batches, int(drawn.sum()), choose, made_by)
    _write_selected(PatchSet.open(pool), selected, made_by)
    return SelectSamplesSummary(
        rule=config.rule,
        real=dict(zip(real.classes, train.counts.tolist(), strict=True)),
        **_counts_and_means(index, real.classes),
        extractor=classifier.name,
        generator=str(index["generator"].iloc[0]),
        seconds=round(time.monotonic() - started, 2),
    )


def _open_given(candidates: Path | None, pool_in: Path | None, real: PatchSet) -> PatchSet | None:
    """Open the patch set of candidates or the earlier pool; None if there is neither.

    Raises:
        SettingsError: there are both.
        PatchSetError: it is damaged, or the candidates have other classes or another patch size than the real patches.
    """
    if candidates is None:
        return None if pool_in is None else PatchSet.open(pool_in)
    if pool_in is not None:
        raise SettingsError("select_samples has both candidates and pool_in: leave one of them out.")
    given = PatchSet.open(candidates)
    advice = "import them again with these real patches"
    check_same_format(f"The candidates {candidates} have", given, "the patch set", real, advice, PatchSetError)
    return given


def _scorer(config: SelectSamplesConfig, classifier: Classifier, real: PatchSet) -> Scorer:
    """Return a scorer that is fitted to the real training patches."""
    device = resolve_device(config.device)
    scorer = Scorer(
        classifier,
        passes=config.passes,
        layers=config.layers,
        seed=config.seed,
        device=device,
        dtype=resolve_precision(config.precision, device),
    )
    train = real.split("train")
    scorer.fit(train, train.labels, len(real.classes), config.batch_size)
    return scorer


def _draw_candidates(
    config: SelectSamplesConfig, path: Path, classifier: Classifier, real: PatchSet, drawn: NDArray[np.int64]
) -> tuple[Iterator[Candidates], dict[str, Any]]:
    """Return scored candidates of a generator, and what they come from."""
    generator = _open_generator(path, config.device, real)
    candidates = draw_pool(generator, _scorer(config, classifier, real), drawn, config.seed, config.batch_size)
    return candidates, {"generator": generator.info.digest, "generator_seed": generator.info.config.get("seed")}


def _score_given(
    config: SelectSamplesConfig, given: PatchSet, classifier: Classifier, real: PatchSet, drawn: NDArray[np.int64]
) -> tuple[Iterator[Candidates], dict[str, Any]]:
    """Return scored patches of a set, and what they come from."""
    made_by = given.info.made_by
    candidates = given_pool(given, _scorer(config, classifier, real), drawn, config.seed, config.batch_size)
    origin = {"generator": given.digest, "generator_seed": None, "given": made_by.get("origin") or {"name": "given"}}
    return candidates, {**origin, **{name: made_by[name] for name in CODECS if name in made_by}}


def _open_generator(path: Path, device: str, real: PatchSet) -> Generator:
    """Load the generator, and check that it draws patches like the real ones."""
    generator = load_generator(path, str(resolve_device(device)))
    advice = "give a generator that was trained on that patch set"
    check_same_format(f"The generator {path} draws", generator.info, "the patch set", real, advice)
    info = generator.info
    check_same_fold(f"The generator {path}", info.digests.get("patches", ""), info.config.get("fold", -1), real)
    return generator


def _choose(
    rule: str,
    kept: NDArray[np.int64],
    classes: list[str],
    index: pd.DataFrame,
    *,
    entropy: str,
    threshold: float,
    seed: int,
) -> Selection:
    """Apply the rule to the scores in the pool's index, and log if it keeps too few."""
    selection = select(
        rule,
        index[ENTROPY_COLUMNS[entropy]].to_numpy(),
        index["distance"].to_numpy(),
        index["confidence"].to_numpy(),
        index["label"].to_numpy(),
        kept,
        classes,
        threshold=threshold,
        seed=seed,
    )
    if selection.kept.sum() < kept.sum():
        say(f"select_samples: {selection.kept.sum()} of {kept.sum()} patches passed threshold={threshold}.")
    return selection


def _write_pool(
    path: Path,
    real: PatchSet,
    candidates: Iterator[Candidates],
    total: int,
    choose: Callable[[pd.DataFrame], Selection],
    made_by: dict[str, Any],
) -> pd.DataFrame:
    """Write all candidates with their ranks; return the index."""
    with PatchSetWriter.create(path, real.classes, real.patch_size, real.info.mpp, synthetic=True) as writer:
        with Progress("candidates", total, "patches") as progress:
            for batch in candidates:
                writer.add(batch.images, label=batch.labels, **_mpp(real), **batch.columns)
                progress.advance(len(batch.images))
        index = writer.index()
        selection = choose(index)
        columns = {"rank": selection.rank, "kept": selection.kept}
        writer.finish(made_by, columns=columns)
    return index.assign(**columns)


def _write_selected(pool: PatchSet, path: Path, made_by: dict[str, Any]) -> None:
    kept = pool.where(pool.index["kept"].to_numpy())
    with PatchSetWriter.create(path, pool.classes, pool.patch_size, pool.info.mpp, synthetic=True) as writer:
        for rows, images in read_blocks(kept):
            columns = {name: kept.index[name].to_numpy()[rows] for name in (*POOL_COLUMNS, "rank", "kept")}
            writer.add(images, label=kept.labels[rows], **_mpp(pool), **columns)
        writer.finish({**made_by, "pool": pool.digest})


def _counts_and_means(index: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """Return the number of candidates per class, and their mean scores, for the pool and for the kept patches."""
    subsets = {"pool": index, "kept": index[index["kept"]]}
    counts = {
        name: {class_name: int((rows["class_name"] == class_name).sum()) for class_name in classes}
        for name, rows in subsets.items()
    }
    means = {
        f"{score}_{name}": float(rows[score].mean())
        for name, rows in subsets.items()
        for score in ("entropy", "distance", "confidence")
    }
    return {**counts, **means}


def _mpp(patches: PatchSet) -> dict[str, float]:
    return {} if patches.info.mpp is None else {"mpp": patches.info.mpp}
