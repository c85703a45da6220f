"""The leaderboard as JSON (`metrics.json`)."""

from typing import Any

from histoforge.core.documents import json_values
from histoforge.evaluation.leaderboard_findings import (
    METRICS,
    Downstream,
    LeaderboardEntry,
    LeaderboardFindings,
    Spread,
)
from histoforge.reports.text.answer import Answer
from histoforge.reports.text.leaderboard_answer import REWARD_METRICS

SCHEMA_VERSION = 1


def as_record(found: LeaderboardFindings, answer: Answer) -> dict[str, Any]:
    """Return all findings as JSON values.

    Keys: schema_version; answer (headline, lines); warnings; classes; data; methods (by name: method, reward, seeds,
    metrics with mean, deviation and the value of each seed, downstream, runs with the whole content of `scores.json`);
    rewards (differences from the control at equal seeds); baseline; guide; provenance.
    """
    record = {
        "schema_version": SCHEMA_VERSION,
        "answer": {"verdict": answer.verdict, "headline": answer.headline, "lines": answer.lines},
        "warnings": list(found.warnings),
        "classes": found.classes,
        "data": {"test_patches": found.test_patches, "test_units": found.test_units, "unit": found.units},
        "judges": found.judges,
        "methods": {one.name: _method(one) for one in found.entries},
        "rewards": [
            {"metric": pair.metric, "reward": pair.reward, "against": pair.against, **_spread(pair.differences)}
            for key in REWARD_METRICS
            for pair in found.paired(key)
        ],
        "rewards_by_other_extractors": [
            {
                "extractor": name,
                "metric": pair.metric,
                "reward": pair.reward,
                "against": pair.against,
                **_spread(pair.differences),
            }
            for name, pairs in found.paired_by_extractor().items()
            for pair in pairs
        ],
        "baseline": None if found.baseline is None else _downstream(found.baseline),
        "guide": dict(found.guide) if found.guide is not None else None,
        "provenance": dict(found.provenance),
    }
    return dict(json_values(record))


def _method(one: LeaderboardEntry) -> dict[str, Any]:
    return {
        "method": one.method,
        "reward": one.reward,
        "seeds": one.seeds,
        "metrics": {key: _spread(metric.spread(one)) for key, metric in METRICS.items()},
        "downstream": {use: _downstream(each) for use, each in one.downstream.items()},
        "runs": list(one.scores),
    }


def _downstream(downstream: Downstream) -> dict[str, Any]:
    return {
        **vars(downstream),
        "accuracy": _seeds(downstream.accuracy),
        "macro_accuracy": _seeds(downstream.macro_accuracy),
        "classes": {name: _seeds(spread) for name, spread in downstream.classes.items()},
    }


def _seeds(spread: Spread) -> dict[str, Any]:
    return {"mean": spread.mean, "deviation": spread.std, "values": dict(spread.values)}


def _spread(spread: Spread) -> dict[str, Any]:
    return {"mean": spread.mean, "deviation": spread.std, "n": spread.n, "seeds": dict(spread.values)}
