"""`metrics.json` of a leaderboard: its findings as a typed document."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from histoforge.core.documents import json_values
from histoforge.evaluation.generator_scores import GeneratorScores
from histoforge.evaluation.leaderboard_findings import (
    Downstream,
    LeaderboardEntry,
    LeaderboardFindings,
    PairedDifference,
    Spread,
)
from histoforge.evaluation.study_findings import Verdict
from histoforge.metrics.table import METRICS

SCHEMA_VERSION = 1


class Record(BaseModel):
    """Base class of the document's records."""

    model_config = ConfigDict(frozen=True)


class SpreadRecord(Record):
    """Mean and sample standard deviation over `n` seeds, and the value of each seed."""

    mean: float | None
    deviation: float | None
    n: int
    seeds: dict[int, float]


class SeedsRecord(Record):
    """The same as `SpreadRecord`, under the names that downstream scores have had since version 1."""

    mean: float | None
    deviation: float | None
    values: dict[int, float]


class DownstreamRecord(Record):
    """Classifiers of one use on the real test split; see `leaderboard_findings.Downstream`."""

    use: str
    accuracy: SeedsRecord
    macro_accuracy: SeedsRecord
    accuracy_between: tuple[float, float] | None
    macro_between: tuple[float, float] | None
    classes: dict[str, SeedsRecord]
    classifiers: int
    note: str


class MethodRecord(Record):
    """One method over its seeds: all metrics of `metrics.table`, downstream scores, and each seed's `scores.json`."""

    method: str
    reward: str
    seeds: list[int]
    metrics: dict[str, SpreadRecord]
    downstream: dict[str, DownstreamRecord]
    runs: list[GeneratorScores]


class RewardRecord(SpreadRecord):
    """A metric of one reward minus that of the control, at the seeds that both have."""

    metric: str
    reward: str
    against: str


class ExtractorRewardRecord(RewardRecord):
    """The same in the features of an extractor other than the judge."""

    extractor: str


class AnswerRecord(Record):
    """The first lines of the page."""

    verdict: Verdict
    headline: str
    lines: list[str]
    caveats: list[str] = []


class DataRecord(Record):
    """Number of patches and units (patients, slides, images) that classifiers were tested on; 0 without classifiers."""

    test_patches: int
    test_units: int
    unit: str


class LeaderboardResults(Record):
    """The whole document.

    Attributes:
        judges: names of the extractors that compare methods.
        rewards: differences between rewards, for each metric that compares variants.
        baseline: classifiers trained only on real patches.
        guide: the guide's report, `guide.json`.
        provenance: labels and values for display, as on the page.
    """

    schema_version: int = SCHEMA_VERSION
    answer: AnswerRecord
    warnings: list[str]
    classes: list[str]
    data: DataRecord
    judges: list[str]
    methods: dict[str, MethodRecord]
    rewards: list[RewardRecord]
    rewards_by_other_extractors: list[ExtractorRewardRecord]
    baseline: DownstreamRecord | None
    guide: dict[str, Any] | None
    provenance: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON values, with None for numbers that are not finite."""
        return dict(json_values(self.model_dump()))


def leaderboard_results(findings: LeaderboardFindings, answer: AnswerRecord) -> LeaderboardResults:
    """Return the results of the findings."""
    return LeaderboardResults(
        answer=answer,
        warnings=list(findings.warnings),
        classes=findings.classes,
        data=DataRecord(test_patches=findings.test_patches, test_units=findings.test_units, unit=findings.units),
        judges=findings.judges,
        methods={entry.name: _method(entry) for entry in findings.entries},
        rewards=[
            RewardRecord(**_pair(pair)) for method in findings.variants for pair in findings.variant_pairs(method)
        ],
        rewards_by_other_extractors=[
            ExtractorRewardRecord(extractor=extractor, **_pair(pair))
            for method in findings.variants
            for extractor, pairs in findings.paired_by_extractor(method).items()
            for pair in pairs
        ],
        baseline=None if findings.baseline is None else _downstream(findings.baseline),
        guide=None if findings.guide is None else dict(findings.guide),
        provenance=dict(findings.provenance),
    )


def _method(entry: LeaderboardEntry) -> MethodRecord:
    return MethodRecord(
        method=entry.method,
        reward=entry.variant,
        seeds=entry.seeds,
        metrics={name: SpreadRecord(**_spread(entry.spread(metric))) for name, metric in METRICS.items()},
        downstream={use: _downstream(downstream) for use, downstream in entry.downstream.items()},
        runs=list(entry.scores),
    )


def _spread(spread: Spread) -> dict[str, Any]:
    return {"mean": spread.mean, "deviation": spread.std, "n": spread.n, "seeds": dict(spread.values)}


def _pair(pair: PairedDifference) -> dict[str, Any]:
    return {"metric": pair.metric, "reward": pair.variant, "against": pair.control, **_spread(pair.differences)}


def _downstream(downstream: Downstream) -> DownstreamRecord:
    def seeds(spread: Spread) -> SeedsRecord:
        return SeedsRecord(mean=spread.mean, deviation=spread.std, values=dict(spread.values))

    return DownstreamRecord(
        use=downstream.use,
        accuracy=seeds(downstream.accuracy),
        macro_accuracy=seeds(downstream.macro_accuracy),
        accuracy_between=downstream.accuracy_between,
        macro_between=downstream.macro_between,
        classes={name: seeds(spread) for name, spread in downstream.classes.items()},
        classifiers=downstream.classifiers,
        note=downstream.note,
    )
