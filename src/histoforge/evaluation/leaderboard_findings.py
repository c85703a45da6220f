"""The findings of a leaderboard, before anything is drawn from them: generators by name, over their seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.findings import PictureFile
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.generators.methods import METHODS
from histoforge.metrics.compare import sample_std
from histoforge.metrics.table import METRICS, Metric

Use = Literal["synthetic", "both", "real"]
USES: dict[str, str] = {
    "synthetic": "trained on synthetic patches alone",
    "both": "trained on real and synthetic patches",
    "real": "trained on real patches alone",
}


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Attributes:
        mean: over the seeds that have the score; None if none has.
        std: sample standard deviation; None for fewer than two seeds.
        values: the score by seed.
    """

    mean: float | None
    std: float | None
    values: Mapping[int, float]

    @classmethod
    def of(cls, values: Mapping[int, float | None]) -> "Spread":
        """Summarise the seeds whose value is not None."""
        measured = {seed: value for seed, value in values.items() if value is not None}
        if not measured:
            return cls(None, None, {})
        return cls(float(np.mean(list(measured.values()))), sample_std(list(measured.values())), measured)

    @property
    def n(self) -> int:
        """Number of seeds that have the score."""
        return len(self.values)


@dataclass(frozen=True)
class Downstream:
    """Classifiers of one use, tested on the real test split.

    Attributes:
        use: the data that they were trained on.
        accuracy, macro_accuracy: over the generator's seeds (for `real`, the classifiers'); each value is the
            mean over the seed's classifiers, and macro is the mean over the classes.
        accuracy_between, macro_between: bootstrap interval of the mean over test patients; None if there is none.
        classes: accuracy of each class.
        classifiers: total number of classifiers.
        note: caveat on the intervals.
    """

    use: Use
    accuracy: Spread
    macro_accuracy: Spread
    accuracy_between: tuple[float, float] | None
    macro_between: tuple[float, float] | None
    classes: dict[str, Spread]
    classifiers: int
    note: str


@dataclass(frozen=True)
class LeaderboardEntry:
    """One method (with its reward) over its seeds.

    Attributes:
        scores: one entry per seed, in ascending order.
        downstream: results by use.
        curves: by seed and series: (epochs, values); series of one class start with its name ('tumour: fid').
        picture: samples of the lowest seed.
    """

    name: str
    scores: Sequence[GeneratorScores]
    downstream: Mapping[str, Downstream] = field(default_factory=dict)
    curves: Mapping[int, Mapping[str, tuple[list[float], list[float]]]] = field(default_factory=dict)
    picture: PictureFile | None = None

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.scores[0].method

    @property
    def origin(self) -> Mapping[str, str]:
        """Origin of what somebody else made; empty for a generator of the project's own."""
        return self.scores[0].origin

    @property
    def variant(self) -> str:
        """Variant of the method, such as the guide's reward; '' for a method without variants."""
        return self.scores[0].reward

    @property
    def is_control(self) -> bool:
        """True for the variant with which the other variants of the method are compared."""
        return bool(self.variant) and self.variant == self.control

    @property
    def control(self) -> str:
        """Name of that variant; '' if the method compares no variants or is not in this version."""
        return METHODS[self.method].control if self.method in METHODS else ""

    @property
    def seeds(self) -> list[int]:
        """Seeds that the generator was trained with."""
        return [scores.seed for scores in self.scores]

    def over_seeds(self, value: Callable[[GeneratorScores], float | None]) -> Spread:
        """Return the spread of a score over the seeds."""
        return Spread.of({scores.seed: value(scores) for scores in self.scores})

    def spread(self, metric: Metric) -> Spread:
        """Return the spread of a metric, scaled for display, over the seeds."""
        if metric.source.startswith("downstream."):
            _, use, score = metric.source.split(".")
            return getattr(self.downstream[use], score) if use in self.downstream else Spread.of({})
        return self.over_seeds(lambda scores: metric.scaled(scores.value(metric)))

    def spread_by(self, metric: Metric, extractor: str) -> Spread:
        """Return the spread of a metric of features over the seeds, in the features of one extractor."""
        values = {
            scores.seed: metric.scaled(row.value(metric.name))
            for scores in self.scores
            for row in scores.generative
            if row.extractor == extractor
        }
        return Spread.of(values)


@dataclass(frozen=True)
class PairedDifference:
    """A score of one variant of a method minus that of the control, for the seeds that both have.

    Attributes:
        variant, control: names of the two variants.
        differences: the difference by seed.
    """

    metric: str
    variant: str
    control: str
    differences: Spread


@dataclass(frozen=True)
class MethodsMap:
    """t-SNE coordinates of real patches and of each entry's lowest seed on one common map, [n, 2] each."""

    real: NDArray[np.float32]
    methods: Mapping[str, NDArray[np.float32]]
    extractor: str


@dataclass(frozen=True)
class LeaderboardFindings:
    """Everything the page shows; parts without input are empty or None.

    Attributes:
        entries: ordered by rising mean FID, the best first.
        baseline: classifiers trained on real patches alone, or None.
        judges: names of the extractors to believe.
        independent, other_architecture: whether the judges chose nothing, and whether their architecture differs from
            that of the network that chose the epoch.
        units: what the intervals draw: 'patients', 'slides' or 'images'.
        test_patches, test_units: number of patches and units that the classifiers were tested on.
        guide: content of `guide.json`, or None.
        guide_pictures: pictures of the guide.
        settings: a title and a text for each.
        provenance: (name, value) rows.
    """

    title: str
    subtitle: str
    classes: list[str]
    entries: Sequence[LeaderboardEntry]
    baseline: Downstream | None
    judges: list[str]
    independent: bool
    confidence: float
    units: str
    test_patches: int
    test_units: int
    map: MethodsMap | None
    guide: Mapping[str, Any] | None
    guide_pictures: Sequence[PictureFile]
    warnings: Sequence[str]
    settings: Sequence[tuple[str, str]]
    provenance: Sequence[tuple[str, str]]
    other_architecture: bool = False

    @property
    def variants(self) -> dict[str, list[LeaderboardEntry]]:
        """The entries of each method that compares its variants with a control, by method; the control first."""
        groups: dict[str, list[LeaderboardEntry]] = {}
        for entry in sorted(self.entries, key=lambda entry: not entry.is_control):
            if entry.variant and entry.control:
                groups.setdefault(entry.method, []).append(entry)
        return groups

    def paired(self, method: str, metric: str) -> list[PairedDifference]:
        """Compare each variant of a method with the control at equal seeds; without the control, return an empty list.

        Args:
            method: a key of `variants`.
            metric: a key of `METRICS`.
        """
        return self._paired(method, metric, lambda entry: entry.spread(METRICS[metric]))

    def variant_pairs(self, method: str) -> list[PairedDifference]:
        """Return the comparisons of a method's variants by each metric that compares variants."""
        return [pair for metric in METRICS.values() if metric.for_variants for pair in self.paired(method, metric.name)]

    @property
    def main_metrics(self) -> list[Metric]:
        """The columns of the main table: main metrics that at least one entry has."""
        main = (metric for metric in METRICS.values() if metric.main)
        return [metric for metric in main if any(entry.spread(metric).n for entry in self.entries)]

    def paired_by_extractor(self, method: str) -> dict[str, list[PairedDifference]]:
        """Compare the FID of each variant with the control's, by the name of each further extractor."""
        first = self.entries[0].scores[0]
        further_extractors = [row.extractor for row in first.generative if row.extractor != first.judge]
        pairs = {
            name: self._paired(
                method, "fid", partial(LeaderboardEntry.spread_by, metric=METRICS["fid"], extractor=name)
            )
            for name in further_extractors
        }
        return {name: variants for name, variants in pairs.items() if any(pair.differences.n for pair in variants)}

    def _paired(self, method: str, metric: str, spread: Callable[[LeaderboardEntry], Spread]) -> list[PairedDifference]:
        control, *variants = self.variants[method]
        if not control.is_control:
            return []
        baseline = spread(control).values
        pairs = []
        for entry in variants:
            values = spread(entry).values
            differences = {seed: values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())}
            pairs.append(PairedDifference(metric, entry.variant, control.variant, Spread.of(differences)))
        return pairs

    def ranking(self, metric: Metric) -> list[LeaderboardEntry]:
        """Return the entries that have a metric, the best mean first."""
        means = {entry.name: entry.spread(metric).mean for entry in self.entries}
        ranked = [entry for entry in self.entries if means[entry.name] is not None]
        return sorted(ranked, key=lambda entry: means[entry.name] or 0.0, reverse=metric.best == "higher")

    def best(self, metric: Metric) -> LeaderboardEntry | None:
        """Return the entry with the best mean; None if it has no rival, neither end is better, or two show as equal."""
        first = self.ranking(metric)[:2]
        means = {format(entry.spread(metric).mean or 0.0, metric.format) for entry in first}
        return first[0] if metric.best and len(means) == 2 else None
