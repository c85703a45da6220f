"""Pools of scored candidates: drawn from a generator batch by batch, given, or reused from an earlier step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.core.errors import SelectionError
from histoforge.core.seeds import derive_seed, numpy_rng
from histoforge.generators.loading import Generator, draw
from histoforge.patches import PatchSet
from histoforge.patches.device import to_unit
from histoforge.patches.images import Pixels
from histoforge.selection.scores import Scorer, Scores

SCORES = tuple(field.name for field in fields(Scores))
POOL_COLUMNS = ("method", "generator", "seed", "place", *SCORES)


@dataclass(frozen=True)
class Candidates:
    """Some scored candidates.

    Attributes:
        images: uint8 [n, H, W, 3].
        labels: the class that each was drawn as, int64 [n].
        columns: method, generator (digest), seed, place (in the order in which its class was drawn) and scores, each a
            scalar or [n].
    """

    images: Pixels
    labels: NDArray[np.int64]
    columns: dict[str, Any]


def draw_pool(
    generator: Generator, scorer: Scorer, counts: NDArray[np.int64], seed: int, batch_size: int
) -> Iterator[Candidates]:
    """Draw `counts[c]` candidates of each class c and score them, batch by batch.

    The noise of a batch depends on the seed, the class and the batch's position in the class. Candidates therefore do
    not depend on how many others are drawn, except for those of a class's last, shorter batch.
    """
    for label, count in enumerate(counts.tolist()):
        for start in range(0, count, batch_size):
            labels = np.full(min(batch_size, count - start), label, np.int64)
            images = draw(generator, labels, derive_seed(seed, "pool", label, start), batch_size)
            origin = {"method": generator.info.method, "generator": generator.info.digest, "seed": seed}
            yield _score(images, labels, start, scorer, origin)


def given_pool(
    given: PatchSet, scorer: Scorer, counts: NDArray[np.int64], seed: int, batch_size: int
) -> Iterator[Candidates]:
    """Score `counts[c]` patches of each class c of a patch set, batch by batch, in their order in the set.

    Where a class has more, they are drawn at random by `seed`. A set that a generator drew with equal seeds and batches
    gets the same scores as in `draw_pool`.
    """
    method = str((given.info.made_by.get("origin") or {}).get("name", "given"))
    for label, count in enumerate(counts.tolist()):
        rows = np.flatnonzero(given.labels == label)
        rows = np.sort(numpy_rng(seed, "given pool", label).choice(rows, count, replace=False))
        for start in range(0, count, batch_size):
            batch = given.where(rows[start : start + batch_size])
            seeds = batch.index["seed"].to_numpy() if "seed" in batch.index else 0
            origin = {"method": method, "generator": given.digest, "seed": seeds}
            yield _score(batch.images(), np.full(len(batch), label, np.int64), start, scorer, origin)


def _score(images: Pixels, labels: NDArray[np.int64], start: int, scorer: Scorer, origin: dict[str, Any]) -> Candidates:
    """Score a batch of candidates, of which the first is the `start`-th of its class."""
    on_device = torch.from_numpy(images).permute(0, 3, 1, 2).to(scorer.device)
    scores = scorer.score(to_unit(on_device), torch.from_numpy(labels).to(scorer.device))
    columns = {name: getattr(scores, name) for name in SCORES}
    return Candidates(images, labels, {**origin, "place": np.arange(start, start + len(labels)), **columns})


def reuse_pool(
    pool: PatchSet, counts: NDArray[np.int64], scoring: Mapping[str, Any], batch_size: int
) -> Iterator[Candidates]:
    """Return the first `counts[c]` candidates of each class c of a scored pool, with their scores, in batches.

    Args:
        pool: the pool of an earlier selection.
        counts: number of candidates per class, int64 [classes].
        scoring: the scoring that the pool must have: extractor, patches (digests), passes, layers.
        batch_size: candidates per batch.

    Raises:
        SelectionError: the pool is not scored, was scored differently, or is too small.
    """
    _check_scoring(pool, scoring)
    for name, available, needed in zip(pool.classes, pool.counts.tolist(), counts.tolist(), strict=True):
        if available < needed:
            raise SelectionError(
                f"The pool given as pool_in has {available} candidates of class '{name}', and {needed} are needed: "
                "lower pool_multiple, or leave pool_in out and give a generator."
            )
    rows = np.flatnonzero(pool.index["place"].to_numpy() < counts[pool.labels])
    return (_batch(pool.where(rows[start : start + batch_size])) for start in range(0, len(rows), batch_size))


def _batch(pool: PatchSet) -> Candidates:
    return Candidates(pool.images(), pool.labels, {name: pool.index[name].to_numpy() for name in POOL_COLUMNS})


def _check_scoring(pool: PatchSet, scoring: Mapping[str, Any]) -> None:
    recorded = pool.info.made_by.get("scoring")
    if recorded is None or any(name not in pool.index for name in POOL_COLUMNS):
        raise SelectionError(
            "The patch set given as pool_in is not a scored pool: give the pool that another select_samples wrote."
        )
    for name, value in scoring.items():
        if recorded.get(name) != value:
            raise SelectionError(
                f"The pool given as pool_in was scored with another '{name}' ({recorded.get(name)}, here {value}): use "
                "the same one here, or leave pool_in out and give a generator."
            )
