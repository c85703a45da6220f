"""Evaluation of a siamese network: separation of similar and dissimilar pairs, and decrease of similarity by level."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histoforge.core.errors import PatchSetError
from histoforge.core.seeds import derive_seed
from histoforge.metrics.bootstrap import Interval, PatientBootstrap
from histoforge.metrics.results import Effect, Floats, Result, Statistic
from histoforge.metrics.roc import RocCurve, roc_curve, weighted_auc
from histoforge.siamese.pairs import OTHER_PATIENT, SAME_SLIDE, SIMILAR, PairSource

BATCH = 128
LEVELS = {
    SIMILAR: "a patch and its augmentation",
    SAME_SLIDE: "two patches of one slide",
    OTHER_PATIENT: "patches of two patients",
}


class LevelSimilarity(Result):
    """The similarity (cosine, 0 to 1) of the pairs of one level.

    Attributes:
        level: 0 for similar pairs, 1 and 2 for dissimilar ones.
        about: a description of these pairs.
        pairs: number of pairs.
        mean, deviation: mean and standard deviation of their similarities.
    """

    level: int
    about: str
    pairs: int
    mean: float
    deviation: float


class PairReport(Result):
    """Evaluation of a network on pairs of held-out patients.

    Attributes:
        pairs, patients: number of pairs and patients.
        threshold: pairs of at least this similarity are called similar; chosen on training pairs.
        accuracy: accuracy at the threshold.
        auc: area under the ROC curve.
        roc: ROC curve of the similarity, with the similar pairs as the positive class.
        levels: similarity by level.
        steps: similarity of a level minus that of the next one.
        finding: a one-sentence conclusion.
    """

    pairs: int
    patients: int
    threshold: float
    accuracy: Interval
    auc: Interval
    roc: RocCurve
    levels: list[LevelSimilarity]
    steps: list[Effect]
    finding: str


@dataclass
class ScoredPairs:
    """Similarities of pairs.

    Attributes:
        similarity: cosines, float64 [P].
        levels: int64 [P].
        patient: patient of the first patch of each pair, [P].
    """

    similarity: Floats
    levels: NDArray[np.int64]
    patient: NDArray[np.str_]


def score_pairs(embed: Callable[[Tensor], Tensor], source: PairSource, count: int, seed: int) -> ScoredPairs:
    """Score `count` pairs; at a given seed every network is scored on the same pairs.

    Args:
        embed: maps images [B, 3, H, W] in [-1, 1] to embeddings [B, D] of length 1.
        source: where the pairs are drawn from.
        count: number of pairs; each patch comes first about equally often.
        seed: seed of the pairs.
    """
    device = source.patches.device
    rng = torch.Generator(device).manual_seed(derive_seed(seed, "pairs"))
    passes = -(-count // len(source))
    rows = torch.cat([torch.randperm(len(source), generator=rng, device=device) for _ in range(passes)])[:count]
    similarity, levels = [], []
    for batch in rows.split(BATCH):
        pairs = source.pairs(batch, rng)
        similarity.append((embed(pairs.first) * embed(pairs.second)).sum(dim=1).clamp(0, 1))
        levels.append(pairs.levels)
    return ScoredPairs(
        torch.cat(similarity).double().cpu().numpy(), torch.cat(levels).cpu().numpy(), source.patient[rows.cpu()]
    )


def best_threshold(scored: ScoredPairs) -> float:
    """Return the similarity that separates similar from dissimilar pairs with the highest balanced accuracy."""
    order = np.argsort(-scored.similarity, kind="stable")
    similar = scored.levels[order] == SIMILAR
    true_positive_rate = np.cumsum(similar) / max(similar.sum(), 1)
    false_positive_rate = np.cumsum(~similar) / max((~similar).sum(), 1)
    best = int(np.argmax(true_positive_rate - false_positive_rate))
    descending = np.append(scored.similarity[order], 0.0)
    return float(descending[best] + descending[best + 1]) / 2


def report_pairs(train: ScoredPairs, val: ScoredPairs, seed: int) -> PairReport:
    """Evaluate the pairs of held-out patients, with intervals over patients.

    Args:
        train: pairs of training patches, on which the threshold is chosen.
        val: pairs of held-out patients.
        seed: seed of the resamples.

    Raises:
        PatchSetError: the held-out patches have no dissimilar pairs.
    """
    similar = val.levels == SIMILAR
    if similar.all():
        raise PatchSetError(
            "The patches in the 'val' split make no dissimilar pairs (one patient with one patch per slide): give the "
            "split more patients."
        )
    threshold = best_threshold(train)
    correct = ((val.similarity >= threshold) == similar).astype(np.float64)
    bootstrap = PatientBootstrap(val.patient, seed=seed)
    present = [level for level in LEVELS if (val.levels == level).any()]
    means = {level: _mean(val.similarity, val.levels == level) for level in present}
    levels = [_level(val, level) for level in present]
    steps = [bootstrap.difference(means[level], means[next_level]) for level, next_level in pairwise(present)]
    return PairReport(
        pairs=len(val.levels),
        patients=bootstrap.n_patients,
        threshold=threshold,
        accuracy=bootstrap.interval(_mean(correct, np.ones_like(similar))),
        auc=bootstrap.interval(weighted_auc(similar, val.similarity)),
        roc=roc_curve("similar", similar, val.similarity),
        levels=levels,
        steps=steps,
        finding=_finding(levels, steps),
    )


def _mean(values: Floats, mask: NDArray[np.bool_]) -> Statistic:
    """Return the weighted mean of the masked values as a statistic."""

    def statistic(weights: Floats) -> Floats:
        total = weights[:, mask].sum(axis=1)
        return np.divide(weights[:, mask] @ values[mask], total, out=np.full(len(weights), np.nan), where=total > 0)

    return statistic


def _level(scored: ScoredPairs, level: int) -> LevelSimilarity:
    values = scored.similarity[scored.levels == level]
    return LevelSimilarity(
        level=level, about=LEVELS[level], pairs=len(values), mean=float(values.mean()), deviation=float(values.std())
    )


def _finding(levels: list[LevelSimilarity], steps: list[Effect]) -> str:
    """Describe the levels without claiming an order that the intervals do not show."""
    clauses = [f"{level.about}: {level.mean:.3f}" for level in levels]
    for (level, next_level), step in zip(pairwise(levels), steps, strict=True):
        between = f"from level {level.level} to level {next_level.level}"
        if step.low is None or step.high is None:
            clauses.append(f"{between} no interval can be given ({step.note})")
            continue
        note = f"; {step.note}" if step.note else ""
        if step.low > 0:
            clauses.append(f"it falls {between} (by {step.difference:.3f}, {step.low:.3f} to {step.high:.3f}{note})")
        elif step.high < 0:
            by = -(step.difference or 0.0)
            clauses.append(f"it rises {between} (by {by:.3f}, {-step.high:.3f} to {-step.low:.3f}{note})")
        else:
            clauses.append(f"{between} no difference was found ({step.low:.3f} to {step.high:.3f}{note})")
    missing = [LEVELS[level] for level in LEVELS if level not in {present.level for present in levels}]
    clauses += [f"there were no {about}" for about in missing]
    return "Mean similarity: " + "; ".join(clauses) + "."
