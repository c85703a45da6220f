"""The findings of a leaderboard, before anything is drawn from them: generators by name, over their seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histoforge.evaluation.findings import PictureFile
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.metrics.compare import sample_std

Use = Literal["synthetic", "both", "real"]
USES: dict[str, str] = {
    "synthetic": "trained on synthetic patches alone",
    "both": "trained on real and synthetic patches",
    "real": "trained on real patches alone",
}
CONTROL = "literal"
"""The reward that cannot change a gradient (A0-10); the control that the other rewards are compared with."""


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
        known = {seed: value for seed, value in values.items() if value is not None}
        if not known:
            return cls(None, None, {})
        return cls(float(np.mean(list(known.values()))), sample_std(list(known.values())), known)

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
    def reward(self) -> str:
        """The guide's reward; '' without a guide."""
        return self.scores[0].reward

    @property
    def seeds(self) -> list[int]:
        """Seeds that the generator was trained with."""
        return [one.seed for one in self.scores]

    def over_seeds(self, value: Callable[[GeneratorScores], float | None]) -> Spread:
        """Return the spread of a score over the seeds."""
        return Spread.of({one.seed: value(one) for one in self.scores})

    def fid_by(self, extractor: str) -> Spread:
        """Return the spread of the FID over the seeds, in the features of one extractor."""
        rows = {one.seed: {row.extractor: row.fid for row in one.generative} for one in self.scores}
        return Spread.of({seed: known.get(extractor) for seed, known in rows.items()})


@dataclass(frozen=True)
class Metric:
    """A column of the leaderboard.

    Attributes:
        key: its name in `metrics.json`.
        title: heading of the column.
        best: whether lower or higher is better; '' if neither is.
        spread: function that returns the spread of an entry.
        format: format of the numbers, as `format` takes it.
        phrase: completes the sentence 'the entry with the best mean has …'; '' if the page has no such sentence.
        unit: text that follows the number in a sentence.
    """

    key: str
    title: str
    best: Literal["lower", "higher", ""]
    spread: Callable[[LeaderboardEntry], Spread]
    format: str
    phrase: str = ""
    unit: str = ""


def _generative(key: str, scale: float = 1.0) -> Callable[[LeaderboardEntry], Spread]:
    def value(one: GeneratorScores) -> float | None:
        found = getattr(one.judge_metrics, key)
        return None if found is None else float(found) * scale

    return lambda entry: entry.over_seeds(value)


def _path(key: str) -> Callable[[LeaderboardEntry], Spread]:
    return lambda entry: entry.over_seeds(lambda one: getattr(one.paths, key) if one.paths else None)


def _downstream(use: str, key: str) -> Callable[[LeaderboardEntry], Spread]:
    def spread(entry: LeaderboardEntry) -> Spread:
        found = entry.downstream.get(use)
        return Spread.of({}) if found is None else getattr(found, key)

    return spread


WHOLE, TWO, THREE, FOUR_DIGITS = ",.0f", ",.2f", ",.3f", ",.4g"

METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        Metric("fid", "FID", "lower", _generative("fid"), TWO, "the lowest FID"),
        Metric("kid", "KID x 1000", "lower", _generative("kid", 1000), TWO, "the lowest KID"),
        Metric("precision", "Precision", "higher", _generative("precision"), THREE, "the highest precision"),
        Metric("recall", "Recall", "higher", _generative("recall"), THREE, "the highest recall"),
        Metric("density", "Density", "higher", _generative("density"), THREE),
        Metric("coverage", "Coverage", "higher", _generative("coverage"), THREE),
        Metric(
            "accuracy_synthetic", "Accuracy, synthetic", "higher", _downstream("synthetic", "accuracy"), THREE,
            "the most accurate classifiers from synthetic patches alone",
        ),
        Metric(
            "accuracy_both", "Accuracy, with real", "higher", _downstream("both", "accuracy"), THREE,
            "the most accurate classifiers from real and synthetic patches",
        ),
        Metric("macro_accuracy", "Macro accuracy", "higher", _downstream("synthetic", "macro_accuracy"), THREE),
        Metric("path_length", "Path length", "", _path("path_length"), FOUR_DIGITS),
        Metric("ppl", "PPL", "", _path("ppl"), FOUR_DIGITS),
        Metric("spread", "Spread", "", lambda one: one.over_seeds(lambda s: s.diversity.spread), TWO),
        Metric("distinct", "Distinct", "", lambda one: one.over_seeds(lambda s: s.diversity.distinct), TWO),
        Metric("label_accuracy", "Micro", "higher", lambda one: one.over_seeds(lambda s: s.labels.micro), THREE),
        Metric("label_f1", "Macro F1", "higher", lambda one: one.over_seeds(lambda s: s.labels.f1), THREE),
        Metric(
            "seconds_per_thousand", "s a thousand", "lower",
            lambda one: one.over_seeds(lambda s: s.drawing.seconds_per_thousand), TWO, "the fastest drawing",
            "s a thousand patches",
        ),
        Metric("peak_memory_mb", "MB", "", lambda one: one.over_seeds(lambda s: s.drawing.peak_memory_mb), WHOLE),
        Metric("training_seconds", "Training", "", lambda one: one.over_seeds(lambda s: s.training_seconds), WHOLE),
    )
}  # fmt: skip
"""All numbers that `metrics.json` holds for each entry. Path lengths have no better end: short may be collapse."""


@dataclass(frozen=True)
class PairedDifference:
    """A score of one reward minus that of another, for the seeds that both have.

    Attributes:
        reward, against: names of the two rewards.
        differences: the difference by seed.
    """

    metric: str
    reward: str
    against: str
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
    def rewarded(self) -> list[LeaderboardEntry]:
        """The entries trained with a guide's reward, the control first."""
        return sorted((one for one in self.entries if one.reward), key=lambda one: one.reward != CONTROL)

    def paired(self, metric: str) -> list[PairedDifference]:
        """Compare each reward with the control at equal seeds; return an empty list unless both are present.

        Args:
            metric: a key of `METRICS`.
        """
        return self._paired(metric, METRICS[metric].spread)

    def paired_by_extractor(self) -> dict[str, list[PairedDifference]]:
        """Compare the FID of each reward with the control's, by the name of each further extractor that scored them."""
        first = self.entries[0].scores[0]
        others = [row.extractor for row in first.generative if row.extractor != first.judge]
        found = {name: self._paired("fid", partial(LeaderboardEntry.fid_by, extractor=name)) for name in others}
        return {name: pairs for name, pairs in found.items() if any(one.differences.n for one in pairs)}

    def _paired(self, metric: str, spread: Callable[[LeaderboardEntry], Spread]) -> list[PairedDifference]:
        control = next((one for one in self.rewarded if one.reward == CONTROL), None)
        if control is None:
            return []
        base = spread(control).values
        found = []
        for one in self.rewarded:
            if one is control or one.method != control.method:
                continue
            own = spread(one).values
            both = {seed: own[seed] - base[seed] for seed in sorted(own.keys() & base.keys())}
            found.append(PairedDifference(metric, one.reward, CONTROL, Spread.of(both)))
        return found

    def ranking(self, metric: Metric) -> list[LeaderboardEntry]:
        """Return the entries that have a score, the best mean first."""
        known = [one for one in self.entries if metric.spread(one).mean is not None]
        return sorted(known, key=lambda one: metric.spread(one).mean or 0.0, reverse=metric.best == "higher")

    def best(self, metric: Metric) -> LeaderboardEntry | None:
        """Return the entry with the best mean; None without a rival, without a better end, or on a tie as shown."""
        means = [metric.spread(one).mean or 0.0 for one in self.ranking(metric)[:2]]
        if not metric.best or len(means) < 2 or len({format(mean, metric.format) for mean in means}) < 2:
            return None
        return self.ranking(metric)[0]


def run_folder(path: Path) -> str:
    """Return the name of a folder of scores for messages: its parent's name and its own."""
    return "/".join(Path(path).parts[-2:])
