"""What a leaderboard found, before anything is drawn of it: generators by name over seeds, and what came of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from histoforge.metrics.compare import deviation
from histoforge.reports.findings import PictureFile
from histoforge.reports.leaderboard_scores import GeneratorScores

Use = Literal["synthetic", "both", "real"]
USES: dict[str, str] = {
    "synthetic": "trained on synthetic patches alone",
    "both": "trained on real and synthetic patches",
    "real": "trained on real patches alone",
}
CONTROL = "literal"
"""The reward that cannot change a gradient (A0-10): what the others are held against."""


@dataclass(frozen=True)
class Spread:
    """A score over seeds.

    Attributes:
        mean: of the seeds that have it; None where none has.
        deviation: sample standard deviation; None below two.
        values: by seed.
    """

    mean: float | None
    deviation: float | None
    values: Mapping[int, float]

    @classmethod
    def of(cls, values: Mapping[int, float | None]) -> "Spread":
        """Over the seeds whose value is not None."""
        known = {seed: value for seed, value in values.items() if value is not None}
        if not known:
            return cls(None, None, {})
        return cls(float(np.mean(list(known.values()))), deviation(list(known.values())), known)

    @property
    def n(self) -> int:
        """Seeds that have the score."""
        return len(self.values)


@dataclass(frozen=True)
class Downstream:
    """Classifiers of one use, tested on the real test split.

    Attributes:
        use: what they were trained on.
        accuracy, macro_accuracy: over the seeds of the generator (of the classifiers for `real`), each the mean of its
            classifiers; macro is the mean over the classes.
        accuracy_between, macro_between: bootstrap interval of the mean over test patients; None without one.
        classes: accuracy of each class.
        classifiers: how many in all.
        note: what to mind of the intervals.
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
class Entrant:
    """One method (and reward) over its seeds.

    Attributes:
        scores: of each seed, rising.
        downstream: by use.
        curves: of each seed, by series: (epochs, values); those of one class have its name before them ('tumour: fid').
        picture: samples of its lowest seed.
    """

    name: str
    scores: Sequence[GeneratorScores]
    downstream: Mapping[str, Downstream] = field(default_factory=dict)
    curves: Mapping[int, Mapping[str, tuple[list[float], list[float]]]] = field(default_factory=dict)
    picture: PictureFile | None = None

    @property
    def method(self) -> str:
        """The method's name."""
        return self.scores[0].method

    @property
    def reward(self) -> str:
        """Of the guide; '' without one."""
        return self.scores[0].reward

    @property
    def seeds(self) -> list[int]:
        """That it was trained with."""
        return [one.seed for one in self.scores]

    def over_seeds(self, value: Callable[[GeneratorScores], float | None]) -> Spread:
        """A score over the seeds."""
        return Spread.of({one.seed: value(one) for one in self.scores})

    def fid_by(self, extractor: str) -> Spread:
        """FID over the seeds by the features of one extractor."""
        rows = {one.seed: {row.extractor: row.fid for row in one.generative} for one in self.scores}
        return Spread.of({seed: known.get(extractor) for seed, known in rows.items()})


@dataclass(frozen=True)
class Metric:
    """A column of the leaderboard.

    Attributes:
        key: its name in `metrics.json`.
        title: at the head of the column.
        best: whether lower or higher is better; '' where neither is.
        spread: of an entrant.
        form: of its numbers, as `format` takes it.
        phrase: what an entrant with the best mean 'has', in a sentence; '' where this is not told.
        unit: behind the number in a sentence.
    """

    key: str
    title: str
    best: Literal["lower", "higher", ""]
    spread: Callable[[Entrant], Spread]
    form: str
    phrase: str = ""
    unit: str = ""


def _generative(key: str, scale: float = 1.0) -> Callable[[Entrant], Spread]:
    def value(one: GeneratorScores) -> float | None:
        found = getattr(one.judged, key)
        return None if found is None else float(found) * scale

    return lambda entrant: entrant.over_seeds(value)


def _path(key: str) -> Callable[[Entrant], Spread]:
    return lambda entrant: entrant.over_seeds(lambda one: getattr(one.paths, key) if one.paths else None)


def _downstream(use: str, key: str) -> Callable[[Entrant], Spread]:
    def spread(entrant: Entrant) -> Spread:
        found = entrant.downstream.get(use)
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
"""All numbers that stand in `metrics.json` for each entrant. Path lengths have no better end: short may be collapse."""


@dataclass(frozen=True)
class Paired:
    """A score of one reward minus that of another, at the seeds that both have.

    Attributes:
        reward, against: the two.
        differences: by seed.
    """

    metric: str
    reward: str
    against: str
    differences: Spread


@dataclass(frozen=True)
class MethodsMap:
    """t-SNE coordinates of real patches and of each entrant's lowest seed, all on one map, [n, 2] each."""

    real: NDArray[np.float32]
    entrants: Mapping[str, NDArray[np.float32]]
    extractor: str


@dataclass(frozen=True)
class LeaderboardFindings:
    """Everything the page shows; parts without input are empty or None.

    Attributes:
        entrants: by falling rank: rising mean FID.
        baseline: classifiers trained on real patches alone, or None.
        judges: the extractors to believe, named.
        independent, other_architecture: whether they chose nothing, and are another network than the one that chose.
        units: what the intervals draw: 'patients', 'slides' or 'images'.
        test_patches, test_units: how much classifiers were tested on.
        guide: what `guide.json` says, or None.
        guide_pictures: of the guide.
        settings: a title and a text each.
        provenance: (name, value) rows.
    """

    title: str
    subtitle: str
    classes: list[str]
    entrants: Sequence[Entrant]
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
    def rewarded(self) -> list[Entrant]:
        """The entrants with a guide's reward, the control first."""
        return sorted((one for one in self.entrants if one.reward), key=lambda one: one.reward != CONTROL)

    def paired(self, metric: str) -> list[Paired]:
        """Each reward against the control, at equal seeds; empty without both.

        Args:
            metric: a key of `METRICS`.
        """
        return self._paired(metric, METRICS[metric].spread)

    def paired_by_others(self) -> dict[str, list[Paired]]:
        """FID of each reward against the control by each further extractor that scored them, by its name."""
        first = self.entrants[0].scores[0]
        others = [row.extractor for row in first.generative if row.extractor != first.judge]
        found = {name: self._paired("fid", partial(Entrant.fid_by, extractor=name)) for name in others}
        return {name: pairs for name, pairs in found.items() if any(one.differences.n for one in pairs)}

    def _paired(self, metric: str, spread: Callable[[Entrant], Spread]) -> list[Paired]:
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
            found.append(Paired(metric, one.reward, CONTROL, Spread.of(both)))
        return found

    def ranking(self, metric: Metric) -> list[Entrant]:
        """The entrants that have a score, the best mean first."""
        known = [one for one in self.entrants if metric.spread(one).mean is not None]
        return sorted(known, key=lambda one: metric.spread(one).mean or 0.0, reverse=metric.best == "higher")

    def best(self, metric: Metric) -> Entrant | None:
        """The entrant with the best mean; None where there is no other, no better end, or a draw in what is shown."""
        means = [metric.spread(one).mean or 0.0 for one in self.ranking(metric)[:2]]
        if not metric.best or len(means) < 2 or len({format(mean, metric.form) for mean in means}) < 2:
            return None
        return self.ranking(metric)[0]


def run_folder(path: Path) -> str:
    """What a message calls a folder of scores: its own name and its parent's."""
    return "/".join(Path(path).parts[-2:])
