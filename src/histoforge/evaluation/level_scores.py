"""Generative metrics at a spatial level, over independent draws."""

from collections.abc import Sequence

from histoforge.metrics.compare import sample_std
from histoforge.metrics.generative import GenerativeMetrics
from histoforge.metrics.results import Result
from histoforge.metrics.table import feature_metrics

PATCH, OVERVIEW, IMAGE, TILE = "patch", "overview", "image", "tile"
"""Levels: patches and overviews of a generator; whole large images, shrunk, and their tiles at full resolution."""


TABLE_METRICS = ("precision", "recall", "fid", "kid")
"""The metrics of the paper's Tables 1 to 4."""


class OverDraws(Result):
    """A metric over independent draws.

    Attributes:
        mean: over the draws that have it; None if none has.
        std: sample standard deviation; None for fewer than two draws.
        values: the metric of each draw.
    """

    mean: float | None
    std: float | None
    values: list[float | None]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "OverDraws":
        """Summarise a metric of each draw."""
        measured = [value for value in values if value is not None]
        return cls(
            mean=sum(measured) / len(measured) if measured else None, std=sample_std(measured), values=list(values)
        )


class LevelScores(Result):
    """Metrics of synthetic images of one level against real ones, over independent draws (PathUp, section 4.3).

    Attributes:
        level: 'patch', 'overview', 'image' or 'tile'.
        extractor: the network whose features the metrics use.
        draws: number of draws.
        n_fake, n_real: images of each draw, and the real ones that each is compared with.
        neighbours: k of improved precision and recall.
        metrics: the registered metrics of features by name.
        real: what validation images of other patients reach against the same real images; empty without any.
        note: a caution for the reader; empty if there is none.
    """

    level: str
    extractor: str
    draws: int
    n_fake: int
    n_real: int
    neighbours: int
    metrics: dict[str, OverDraws]
    real: dict[str, float | None]
    note: str

    @classmethod
    def of(cls, level: str, draws: Sequence[GenerativeMetrics], held_out: GenerativeMetrics | None) -> "LevelScores":
        """Summarise the metrics of each draw in the features of one extractor.

        Args:
            level: the level.
            draws: the metrics of each draw.
            held_out: those of validation images; None without any.
        """
        first = min(draws, key=lambda draw: draw.n_fake)
        names = [metric.name for metric in feature_metrics()]
        return cls(
            level=level,
            extractor=first.extractor,
            draws=len(draws),
            n_fake=first.n_fake,
            n_real=first.n_real,
            neighbours=first.neighbours,
            metrics={name: OverDraws.of([draw.value(name) for draw in draws]) for name in names},
            real={} if held_out is None else {name: held_out.value(name) for name in names},
            note=first.note,
        )


def means_by_level(levels: Sequence[LevelScores], judge: str) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return mean and standard deviation of each metric of `TABLE_METRICS`, by level, in the features of `judge`."""
    return {
        scores.level: {name: scores.metrics[name].model_dump(include={"mean", "std"}) for name in TABLE_METRICS}
        for scores in levels
        if scores.extractor == judge
    }
