"""Pools of scored candidates: drawn from a generator batch by batch, or reused from an earlier step."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histoforge.core.errors import SelectionError
from histoforge.core.seeds import derive_seed
from histoforge.generators.loading import Generator, draw
from histoforge.patches import PatchSet
from histoforge.patches.device import to_unit
from histoforge.patches.images import Pixels
from histoforge.selection.scores import Scorer, Scores

SCORES = tuple(field.name for field in fields(Scores))
CARRIED = ("method", "generator", "seed", "place", *SCORES)


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

    The noise of a batch depends on the seed, the class and the place. Candidates therefore do not depend on how many
    others are drawn, except for those of a class's last, shorter batch.
    """
    for label, count in enumerate(counts.tolist()):
        for start in range(0, count, batch_size):
            labels = np.full(min(batch_size, count - start), label, np.int64)
            images = draw(generator, labels, derive_seed(seed, "pool", label, start), batch_size)
            on_device = torch.from_numpy(images).permute(0, 3, 1, 2).to(scorer.device)
            scores = scorer.score(to_unit(on_device), torch.from_numpy(labels).to(scorer.device))
            columns = {name: getattr(scores, name) for name in SCORES}
            origin = {"method": generator.info.method, "generator": generator.info.digest, "seed": seed}
            yield Candidates(images, labels, {**origin, "place": np.arange(start, start + len(labels)), **columns})


def take_over(pool: PatchSet, counts: NDArray[np.int64], batch_size: int) -> Iterator[Candidates]:
    """Yield the first `counts[c]` candidates of each class c of a scored pool, with their scores, batch by batch."""
    rows = np.flatnonzero(pool.index["place"].to_numpy() < counts[pool.labels])
    for start in range(0, len(rows), batch_size):
        part = pool.where(rows[start : start + batch_size])
        yield Candidates(part.images(), part.labels, {name: part.index[name].to_numpy() for name in CARRIED})


def check_scored(pool: PatchSet, counts: NDArray[np.int64], scoring: dict[str, Any]) -> None:
    """Check that a pool can be reused.

    Args:
        pool: the pool.
        counts: number of candidates needed per class.
        scoring: the required scoring: extractor, patches (digests), passes, layers.

    Raises:
        SelectionError: the pool is not scored, was scored differently, or is too small.
    """
    theirs = pool.info.made_by.get("scoring")
    if theirs is None or any(name not in pool.index for name in CARRIED):
        raise SelectionError(
            "The patch set given as pool_in is not a scored pool: give the pool that another select_samples wrote."
        )
    for name, mine in scoring.items():
        if theirs.get(name) != mine:
            raise SelectionError(
                f"The pool given as pool_in was scored with another '{name}' ({theirs.get(name)}, here {mine}): use "
                "that one here too, or leave pool_in out and give a generator."
            )
    for name, there, asked in zip(pool.classes, pool.counts.tolist(), counts.tolist(), strict=True):
        if there < asked:
            raise SelectionError(
                f"The pool given as pool_in has {there} candidates of class '{name}', and {asked} are asked for: lower "
                "pool_multiple, or leave pool_in out and give a generator."
            )
